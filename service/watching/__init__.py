"""What the service says about itself: a tour of this room.

- record.py         what is known of one request by now: its route, its model, times of its stages
- metrics.py        the table of all metrics, and the events that count in them
- shared_values.py  numbers that all workers share and that outlive a worker
- exposition.py     GET /metrics: the sums of all workers, as Prometheus reads them
- access.py         one line of the log for each request, written by a thread of its own
- routes.py         which route a request meant, where Flask was not asked
- requests.py       the front's door: a request begins, is answered, has left
"""
