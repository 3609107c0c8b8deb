"""Colors, sizes, tables and the files of figures; nothing here knows a result."""
