"""SCIM 2.0 (RFC 7643, RFC 7644): users, groups and any other resource of a service provider."""
