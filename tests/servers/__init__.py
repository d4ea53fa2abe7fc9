"""The storage in real servers, with processes that are killed and replaced under way."""
