"""The walk over an API's pages: what is asked, where it stands, and what becomes of a page."""
