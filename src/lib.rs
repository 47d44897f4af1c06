//! itemlift gets single files back out of VM backups.

pub mod point;
