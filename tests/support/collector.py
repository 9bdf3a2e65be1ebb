"""A collector of traces: OTLP over HTTP, in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Collected(NamedTuple):
    """A span; ids in hexadecimal, `parent` and `links` those of spans."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    links: tuple[str, ...]


class Collector:
    """What has arrived."""

    def __init__(self) -> None:
        self.spans: list[Collected] = []
        self.url = ""

    def wait(self, name: str) -> Collected:
        """The first span of this name, once there is one."""
        until = time.monotonic() + 20
        while True:
            for one in self.spans:
                if one.name == name:
                    return one
            assert time.monotonic() < until, (name, self.spans)
            time.sleep(0.05)

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    Collected(
                        attributes["service.name"],
                        one.name,
                        one.trace_id.hex(),
                        one.span_id.hex(),
                        one.parent_span_id.hex(),
                        tuple(link.span_id.hex() for link in one.links),
                    )
                    for one in scope.spans
                ]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
