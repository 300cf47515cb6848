"""The network side of a worker: a tour of this room.

One thread per worker runs an event loop that accepts, reads and writes without blocking.
Only a request that has arrived whole is given to a thread, so slow or silent clients cost a
socket and nothing else.

- worker.py       the gunicorn worker: cuts what is overdue, stops in order
- acceptor.py     takes new connections, evenly, and not too many of them
- connection.py   one client: which phase it is in, how many bytes it holds
- readable.py     which phases there are, and when it is read
- rounds.py       how much of each connection is read before others have a turn
- parser.py       gunicorn's HTTP parser, with what it does for each byte made fast
- front.py        reads a request whole, admits or refuses it, has it answered, sends the answer
- lanes.py        threads in lanes with a bounded queue, so that health never waits behind photos
- stream.py       sends an answer in pieces while the rest is computed
- weight.py       which requests are heavy
- logger.py       gunicorn's logger, which waits for no reader of the log
- environ.py      between the event loop's form of a request (ASGI) and Flask's (WSGI)
"""
