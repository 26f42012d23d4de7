"""The server's face: OpenAI's API, the admin API, who may come in, errors, streams, and going out of service.

seams        what this package asks of others: models, guard, limits, watchers
text         tokens to text as it is told
openai       requests and answers in OpenAI's form
door         what every request passes: its id, size, key, and whether the server takes any
errors       every exception as an answer, in one place
app          all of it put together
"""
