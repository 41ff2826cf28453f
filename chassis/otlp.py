"""OpenTelemetry, imported by `chassis.tracing` alone and only when it is on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import (
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Span, SpanKind, Status

_KINDS = {"request": SpanKind.SERVER, "receive": SpanKind.CONSUMER, "send": SpanKind.PRODUCER}
_ROOTS = {SpanKind.SERVER, SpanKind.CONSUMER}
_PATIENCE_S = 2
"""For the collector; what it does not take is lost, and nothing waits for it."""
_SENT = frozenset(
    {
        "db.system",
        "db.name",
        "db.statement",
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "messaging.destination",
        "messaging.type",
    }
)


class _Roots(Sampler):
    """A share of requests and deliveries; a statement that nobody asked for is dropped."""

    def __init__(self, share: float) -> None:
        self._share = TraceIdRatioBased(share)

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        *more: Any,
        **rest: Any,
    ) -> SamplingResult:
        if kind not in _ROOTS:
            return SamplingResult(Decision.DROP)
        return self._share.should_sample(parent_context, trace_id, name, kind, *more, **rest)

    def get_description(self) -> str:
        return f"Roots({self._share.get_description()})"


class _Cleaned(SpanExporter):
    """Drivers repeat values in the messages of their exceptions: these, and unknown attributes, stay."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_cleaned(one) for one in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _cleaned(span: ReadableSpan) -> ReadableSpan:
    attributes = span.attributes or {}
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in attributes.items() if name in _SENT},
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


class Otlp:
    """Spans of this process, sent over HTTP in the background."""

    def __init__(self, service: str, *, endpoint: str, sample: float) -> None:
        self._provider = TracerProvider(
            sampler=ParentBased(root=_Roots(sample)),
            resource=Resource({"service.name": service, "service.namespace": "ccib"}),
        )
        exporter = OTLPSpanExporter(
            endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_PATIENCE_S
        )
        self._provider.add_span_processor(BatchSpanProcessor(_Cleaned(exporter)))
        self._tracer = self._provider.get_tracer("ccib")
        self._asyncpg = AsyncPGInstrumentor()  # type: ignore[no-untyped-call]
        self._asyncpg.instrument(tracer_provider=self._provider)

    @contextmanager
    def span(
        self, what: str, name: str, *, parent: str | None, attributes: Mapping[str, str]
    ) -> Iterator[Span]:
        context = propagate.extract({"traceparent": parent}) if parent else None
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=_KINDS[what],
            attributes={key.replace("__", "."): value for key, value in attributes.items()},
        ) as started:
            yield started

    def current(self) -> str | None:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def flush(self) -> None:
        self._asyncpg.uninstrument()
        self._provider.shutdown()
