"""Describes the service to programs and people: a tour. Begin at document.py.

- document.py    the application's routes -> an OpenAPI 3.1 document
- operations.py  what each route takes and answers, in one table
- answers.py     the JSON that our own routes answer, as types
- refusals.py    which errors may come instead, with their codes
- routes.py      /openapi.json, and /docs, which Jinja draws from it;  templates/ holds that page

Nothing is said twice: addresses come from Flask, sentences from the docstrings of the routes,
ranges from incoming/queries.py, statuses and codes from errors.py, bodies of other people's
protocols from protocols/bodies.py. Tests hold real answers against the document.
"""
