"""What `insitu check` looks at, one module a part of a set-up; each returns findings and prints nothing."""
