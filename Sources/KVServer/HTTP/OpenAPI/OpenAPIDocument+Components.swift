/// What the paths refer to.
extension OpenAPIDocument {
  static let components = #"""
    "components": {"parameters": {"r": {"name": "r", "in": "query", "description":
     "Replies to wait for", "schema": {"type": "string", "description":
     "a number, one, quorum or all"}}, "pr": {"name": "pr", "in": "query", "description":
     "Of those, from primaries", "schema": {"type": "string", "description":
     "a number, one, quorum or all"}}, "w": {"name": "w", "in": "query", "description":
     "Receipts to wait for", "schema": {"type": "string", "description":
     "a number, one, quorum or all"}}, "dw": {"name": "dw", "in": "query", "description":
     "Durable copies to wait for", "schema": {"type": "string", "description":
     "a number, one, quorum or all"}}, "pw": {"name": "pw", "in": "query", "description":
     "Of those, at primaries", "schema": {"type": "string", "description":
     "a number, one, quorum or all"}}, "node_confirms": {"name": "node_confirms", "in": "query",
     "description": "Different nodes", "schema": {"type": "string", "description":
     "a number, one, quorum or all"}}, "basic_quorum": {"name": "basic_quorum", "in": "query",
     "description": "Whether a majority of not found is enough", "schema": {"type": "boolean"}},
     "notfound_ok": {"name": "notfound_ok", "in": "query", "description":
     "Whether not found counts", "schema": {"type": "boolean"}}, "timeout": {"name": "timeout",
     "in": "query", "description": "Milliseconds", "schema": {"type": "integer"}}, "vtag": {
     "name": "vtag", "in": "query", "description": "One sibling", "schema": {"type": "string"}},
     "returnbody": {"name": "returnbody", "in": "query", "description":
     "Whether the object is told", "schema": {"type": "boolean"}}, "returnvalue": {"name":
     "returnvalue", "in": "query", "description": "Whether the number is told", "schema": {"type":
     "boolean"}}, "include_context": {"name": "include_context", "in": "query", "description":
     "Whether the context is told", "schema": {"type": "boolean"}}, "keys": {"name": "keys", "in":
     "query", "description": "true or stream", "schema": {"type": "string"}}, "buckets": {"name":
     "buckets", "in": "query", "description": "true or stream", "schema": {"type": "string"}},
     "props": {"name": "props", "in": "query", "description": "false for none", "schema": {"type":
     "string"}}, "chunked": {"name": "chunked", "in": "query", "description":
     "Whether results come as parts", "schema": {"type": "boolean"}}, "return_terms": {"name":
     "return_terms", "in": "query", "description": "Whether terms are told", "schema": {"type":
     "boolean"}}, "max_results": {"name": "max_results", "in": "query", "description":
     "The most hits", "schema": {"type": "integer"}}, "continuation": {"name": "continuation",
     "in": "query", "description": "Where to go on", "schema": {"type": "string"}}, "stream": {
     "name": "stream", "in": "query", "description": "Whether hits come as parts", "schema": {
     "type": "boolean"}}, "term_regex": {"name": "term_regex", "in": "query", "description":
     "A regular expression", "schema": {"type": "string"}}, "filter": {"name": "filter", "in":
     "query", "description": "A JSON object in base 64: key_range, date_range, change_method",
     "schema": {"type": "string"}}, "path_type": {"name": "type", "in": "path", "required": true,
     "description": "Bucket type", "schema": {"type": "string"}}, "path_bucket": {"name": "bucket"
     , "in": "path", "required": true, "description": "Bucket", "schema": {"type": "string"}},
     "path_key": {"name": "key", "in": "path", "required": true, "description": "Key", "schema": {
     "type": "string"}}, "path_field": {"name": "field", "in": "path", "required": true,
     "description": "Index", "schema": {"type": "string"}}, "path_term": {"name": "term", "in":
     "path", "required": true, "description": "Term", "schema": {"type": "string"}}, "path_start":
     {"name": "start", "in": "path", "required": true, "description": "First term", "schema": {
     "type": "string"}}, "path_end": {"name": "end", "in": "path", "required": true,
     "description": "Last term", "schema": {"type": "string"}}, "path_count": {"name": "count",
     "in": "path", "required": true, "description": "More siblings than this", "schema": {"type":
     "integer"}}, "path_size": {"name": "size", "in": "path", "required": true, "description":
     "More bytes than this", "schema": {"type": "integer"}}, "path_name": {"name": "name", "in":
     "path", "required": true, "description": "Name", "schema": {"type": "string"}}}, "responses":
     {"Malformed": {"description": "The request means nothing; the body says why"}, "Unavailable":
     {"description": "Too few replicas, no time left, or too much to do"}}, "schemas": {"Query": {
     "type": "object", "required": ["query_list"], "properties": {"query_list": {"type": "array",
     "minItems": 1, "maxItems": 32, "items": {"type": "object", "required": ["index_name",
     "start_term", "end_term"], "properties": {"aggregation_tag": {"type": "integer"},
     "index_name": {"type": "string", "description": "A binary index"}, "start_term": {"type":
     "string", "description": "The first term"}, "end_term": {"type": "string", "description":
     "The last term, included"}, "regular_expression": {"type": "string", "description":
     "What terms must match"}, "evaluation_expression": {"type": "string", "description":
     "Takes terms apart"}, "filter_expression": {"type": "string", "description":
     "What must hold of the parts"}}}}, "aggregation_expression": {"type": "string",
     "description": "How several queries are put together, such as $1 INTERSECT $2"},
     "accumulation_option": {"type": "string", "enum": ["keys", "raw_keys", "terms",
     "term_with_keys", "raw_terms", "match_count", "raw_count", "key_count", "count",
     "term_with_matchcount", "term_with_rawcount", "term_with_keycount", "term_with_count"]},
     "accumulation_term": {"type": "string", "description":
     "The attribute that is told as the term"}, "substitutions": {"type": "object",
     "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "integer"}]}}, "max_results":
     {"type": "integer", "minimum": 1}, "continuation": {"type": "string", "description":
     "Where to go on"}, "timeout": {"type": "integer", "description": "seconds"},
     "inactivity_timeout": {"type": "integer"}}}}}
    """#
}
