-- What the grant's sessions had read when it ended, or when the server last stopped.
ALTER TABLE grants ADD COLUMN bytes_read INTEGER NOT NULL DEFAULT 0;
