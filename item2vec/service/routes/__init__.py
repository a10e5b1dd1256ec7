"""The routes of the HTTP service, with one module per resource."""
