"""
HTTP for the gateway in memory: questions that come in, and answers and refusals that go out.

`fake` and `fake.api` import it. Begin with `question.py`.
"""
