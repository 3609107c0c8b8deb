"""Colors, sizes, tables and figure files; this package imports nothing about results."""
