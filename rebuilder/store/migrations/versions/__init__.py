"""One file a version; `rebuilder.store.tables.SCHEMA_VERSION` is the newest."""
