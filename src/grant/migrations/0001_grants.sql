-- Times are milliseconds since 1970-01-01T00:00:00Z.
CREATE TABLE grants (
    id          TEXT PRIMARY KEY,
    vm          TEXT NOT NULL,
    point       TEXT NOT NULL,
    source      TEXT NOT NULL,
    disks       TEXT NOT NULL,     -- JSON: [{"lun","name","size","sector_size"}]
    fingerprint BLOB NOT NULL UNIQUE, -- SHA-256 of the client certificate
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL,
    expires_at  INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('active', 'expired', 'revoked')),
    ended_at    INTEGER,
    -- Sealed under the key file, bound to the columns above; gone when the grant ends.
    secrets     BLOB,
    CHECK ((state = 'active') = (secrets IS NOT NULL)),
    CHECK ((state = 'active') = (ended_at IS NULL))
) STRICT;

CREATE INDEX grants_by_end ON grants (ended_at);

-- One value sealed under the key file: tells a wrong key from a damaged grant.
CREATE TABLE key_check (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    sealed   BLOB NOT NULL
) STRICT;
