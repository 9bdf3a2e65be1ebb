"""The keys of an OpenID provider, over HTTP."""
