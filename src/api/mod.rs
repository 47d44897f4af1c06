//! CONTROL PLANE: the HTTPS API, one resource a file.
