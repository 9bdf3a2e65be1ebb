"""The store and the catalog on MongoDB."""
