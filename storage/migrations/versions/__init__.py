"""One module a revision, each frozen once it has been released."""
