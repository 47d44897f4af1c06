//! RECOVERY POINTS: sources, the catalog, disk images.
