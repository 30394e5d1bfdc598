"""The operator console: a static page of plain ES modules, without a build step, that nothing is loaded into from elsewhere."""
