"""The routes of the HTTP service, a module per resource."""
