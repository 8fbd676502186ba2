"""Reads an ExportTraceServiceRequest with the classes that OpenTelemetry generates, and prints its spans as JSON: FILE."""

import json
import sys

from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


def value(attribute):
    return getattr(attribute.value, attribute.value.WhichOneof("value"))


def attributes(of):
    return {attribute.key: value(attribute) for attribute in of}


request = ExportTraceServiceRequest.FromString(open(sys.argv[1], "rb").read())
spans = []
for group in request.resource_spans:
    for scope in group.scope_spans:
        assert scope.scope.name == "tamis", scope.scope
        for span in scope.spans:
            assert len(UnknownFieldSet(span)) == 0
            spans.append({
                "service": attributes(group.resource.attributes)["service.name"],
                "trace": span.trace_id.hex(),
                "id": span.span_id.hex(),
                "parent": span.parent_span_id.hex(),
                "state": span.trace_state,
                "name": span.name,
                "kind": Span.SpanKind.Name(span.kind),
                "nanos": span.end_time_unix_nano - span.start_time_unix_nano,
                "attributes": attributes(span.attributes),
            })
print(json.dumps(spans))
