"""alliance-platform-storage: `async_uploads` has its fields, forms and storages."""
