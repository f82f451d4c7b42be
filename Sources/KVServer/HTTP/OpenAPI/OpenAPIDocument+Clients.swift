/// The paths that clients use.
extension OpenAPIDocument {
  static let clientPaths = #"""
     "/ping": {
      "get": {"tags": ["node"], "summary": "Tells that the node answers", "responses": {"200": {
       "description": "OK"}}}
     },
     "/": {
      "get": {"tags": ["node"], "summary":
       "The status page; the list of resources for clients that ask for JSON", "responses": {
       "200": {"description": "A page or a list"}}}
     },
     "/stats": {
      "get": {"tags": ["node"], "summary": "Statistics under the reference's names", "responses":
       {"200": {"description": "One flat JSON object"}}}
     },
     "/metrics": {
      "get": {"tags": ["node"], "summary": "Statistics for Prometheus", "responses": {"200": {
       "description": "Text of version 0.0.4"}}}
     },
     "/openapi.json": {
      "get": {"tags": ["node"], "summary": "This document", "responses": {"200": {"description":
       "The document"}}}
     },
     "/types/{type}/props": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}],
      "get": {"tags": ["properties"], "summary": "The properties of a bucket type", "responses": {
       "200": {"description": "Properties"}, "404": {"description": "No such type"}}},
      "put": {"tags": ["properties"], "summary": "Changes properties of a bucket type",
       "requestBody": {"required": true, "content": {"application/json": {"schema": {"type":
       "object"}}}}, "responses": {"204": {"description": "Changed"}, "400": {"$ref":
       "#/components/responses/Malformed"}}},
      "post": {"tags": ["properties"], "summary": "Changes properties of a bucket type",
       "requestBody": {"required": true, "content": {"application/json": {"schema": {"type":
       "object"}}}}, "responses": {"204": {"description": "Changed"}, "400": {"$ref":
       "#/components/responses/Malformed"}}},
      "delete": {"tags": ["properties"], "summary": "Resets the properties of a bucket type",
       "responses": {"204": {"description": "Reset"}}}
     },
     "/buckets": {
      "get": {"tags": ["listings"], "summary": "Lists buckets, when asked to by the parameter",
       "parameters": [{"$ref": "#/components/parameters/buckets"}, {"$ref":
       "#/components/parameters/timeout"}], "responses": {"200": {"description": "Names"}, "403":
       {"description": "Switched off"}, "503": {"$ref": "#/components/responses/Unavailable"}}}
     },
     "/types/{type}/buckets": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}],
      "get": {"tags": ["listings"], "summary": "Lists buckets, when asked to by the parameter",
       "parameters": [{"$ref": "#/components/parameters/buckets"}, {"$ref":
       "#/components/parameters/timeout"}], "responses": {"200": {"description": "Names"}, "403":
       {"description": "Switched off"}, "503": {"$ref": "#/components/responses/Unavailable"}}}
     },
     "/buckets/{bucket}/props": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}],
      "get": {"tags": ["properties"], "summary": "The properties of a bucket", "responses": {
       "200": {"description": "Properties"}}},
      "put": {"tags": ["properties"], "summary": "Changes properties of a bucket", "requestBody":
       {"required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
       "responses": {"204": {"description": "Changed"}, "400": {"$ref":
       "#/components/responses/Malformed"}}},
      "post": {"tags": ["properties"], "summary": "Changes properties of a bucket", "requestBody":
       {"required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
       "responses": {"204": {"description": "Changed"}, "400": {"$ref":
       "#/components/responses/Malformed"}}},
      "delete": {"tags": ["properties"], "summary": "Resets the properties of a bucket",
       "responses": {"204": {"description": "Reset"}}}
     },
     "/types/{type}/buckets/{bucket}/props": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}],
      "get": {"tags": ["properties"], "summary": "The properties of a bucket", "responses": {
       "200": {"description": "Properties"}}},
      "put": {"tags": ["properties"], "summary": "Changes properties of a bucket", "requestBody":
       {"required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
       "responses": {"204": {"description": "Changed"}, "400": {"$ref":
       "#/components/responses/Malformed"}}},
      "post": {"tags": ["properties"], "summary": "Changes properties of a bucket", "requestBody":
       {"required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
       "responses": {"204": {"description": "Changed"}, "400": {"$ref":
       "#/components/responses/Malformed"}}},
      "delete": {"tags": ["properties"], "summary": "Resets the properties of a bucket",
       "responses": {"204": {"description": "Reset"}}}
     },
     "/buckets/{bucket}/keys": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}],
      "get": {"tags": ["listings"], "summary": "Lists keys, when asked to by the parameter",
       "parameters": [{"$ref": "#/components/parameters/keys"}, {"$ref":
       "#/components/parameters/timeout"}], "responses": {"200": {"description": "Names"}, "403":
       {"description": "Switched off"}, "503": {"$ref": "#/components/responses/Unavailable"}}},
      "post": {"tags": ["objects"], "summary": "Stores an object under a new key", "parameters": [
       {"$ref": "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"}, {"$ref":
       "#/components/parameters/timeout"}, {"$ref": "#/components/parameters/returnbody"}],
       "requestBody": {"required": true, "content": {"*/*": {"schema": {"type": "string"}}}},
       "responses": {"201": {"description": "Stored; Location tells the key"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       }
     },
     "/types/{type}/buckets/{bucket}/keys": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}],
      "get": {"tags": ["listings"], "summary": "Lists keys, when asked to by the parameter",
       "parameters": [{"$ref": "#/components/parameters/keys"}, {"$ref":
       "#/components/parameters/timeout"}], "responses": {"200": {"description": "Names"}, "403":
       {"description": "Switched off"}, "503": {"$ref": "#/components/responses/Unavailable"}}},
      "post": {"tags": ["objects"], "summary": "Stores an object under a new key", "parameters": [
       {"$ref": "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"}, {"$ref":
       "#/components/parameters/timeout"}, {"$ref": "#/components/parameters/returnbody"}],
       "requestBody": {"required": true, "content": {"*/*": {"schema": {"type": "string"}}}},
       "responses": {"201": {"description": "Stored; Location tells the key"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       }
     },
     "/buckets/{bucket}/keys/{key}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}, {"$ref":
       "#/components/parameters/path_key"}],
      "get": {"tags": ["objects"], "summary": "Reads an object", "parameters": [{"$ref":
       "#/components/parameters/r"}, {"$ref": "#/components/parameters/pr"}, {"$ref":
       "#/components/parameters/node_confirms"}, {"$ref": "#/components/parameters/basic_quorum"},
       {"$ref": "#/components/parameters/notfound_ok"}, {"$ref": "#/components/parameters/timeout"
       }, {"$ref": "#/components/parameters/vtag"}], "responses": {"200": {"description":
       "The object"}, "300": {"description": "Several siblings"}, "304": {"description":
       "Not modified"}, "404": {"description": "Nothing"}, "412": {"description":
       "A condition does not hold"}, "400": {"$ref": "#/components/responses/Malformed"}, "503": {
       "$ref": "#/components/responses/Unavailable"}}},
      "put": {"tags": ["objects"], "summary": "Stores an object", "parameters": [{"$ref":
       "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"}, {"$ref":
       "#/components/parameters/timeout"}, {"$ref": "#/components/parameters/returnbody"}],
       "requestBody": {"required": true, "content": {"*/*": {"schema": {"type": "string"}}}},
       "responses": {"200": {"description": "Stored, with the object"}, "204": {"description":
       "Stored"}, "300": {"description": "Stored, with siblings"}, "409": {"description":
       "Another clock"}, "412": {"description": "A condition does not hold"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       },
      "post": {"tags": ["objects"], "summary": "Stores an object", "parameters": [{"$ref":
       "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"}, {"$ref":
       "#/components/parameters/timeout"}, {"$ref": "#/components/parameters/returnbody"}],
       "requestBody": {"required": true, "content": {"*/*": {"schema": {"type": "string"}}}},
       "responses": {"200": {"description": "Stored, with the object"}, "204": {"description":
       "Stored"}, "300": {"description": "Stored, with siblings"}, "409": {"description":
       "Another clock"}, "412": {"description": "A condition does not hold"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       },
      "delete": {"tags": ["objects"], "summary": "Deletes an object", "parameters": [{"$ref":
       "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/timeout"}], "responses": {
       "204": {"description": "Deleted"}, "404": {"description": "Nothing"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       }
     },
     "/types/{type}/buckets/{bucket}/keys/{key}": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}, {"$ref": "#/components/parameters/path_key"}],
      "get": {"tags": ["objects"], "summary": "Reads an object", "parameters": [{"$ref":
       "#/components/parameters/r"}, {"$ref": "#/components/parameters/pr"}, {"$ref":
       "#/components/parameters/node_confirms"}, {"$ref": "#/components/parameters/basic_quorum"},
       {"$ref": "#/components/parameters/notfound_ok"}, {"$ref": "#/components/parameters/timeout"
       }, {"$ref": "#/components/parameters/vtag"}], "responses": {"200": {"description":
       "The object"}, "300": {"description": "Several siblings"}, "304": {"description":
       "Not modified"}, "404": {"description": "Nothing"}, "412": {"description":
       "A condition does not hold"}, "400": {"$ref": "#/components/responses/Malformed"}, "503": {
       "$ref": "#/components/responses/Unavailable"}}},
      "put": {"tags": ["objects"], "summary": "Stores an object", "parameters": [{"$ref":
       "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"}, {"$ref":
       "#/components/parameters/timeout"}, {"$ref": "#/components/parameters/returnbody"}],
       "requestBody": {"required": true, "content": {"*/*": {"schema": {"type": "string"}}}},
       "responses": {"200": {"description": "Stored, with the object"}, "204": {"description":
       "Stored"}, "300": {"description": "Stored, with siblings"}, "409": {"description":
       "Another clock"}, "412": {"description": "A condition does not hold"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       },
      "post": {"tags": ["objects"], "summary": "Stores an object", "parameters": [{"$ref":
       "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"}, {"$ref":
       "#/components/parameters/timeout"}, {"$ref": "#/components/parameters/returnbody"}],
       "requestBody": {"required": true, "content": {"*/*": {"schema": {"type": "string"}}}},
       "responses": {"200": {"description": "Stored, with the object"}, "204": {"description":
       "Stored"}, "300": {"description": "Stored, with siblings"}, "409": {"description":
       "Another clock"}, "412": {"description": "A condition does not hold"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       },
      "delete": {"tags": ["objects"], "summary": "Deletes an object", "parameters": [{"$ref":
       "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/timeout"}], "responses": {
       "204": {"description": "Deleted"}, "404": {"description": "Nothing"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       }
     },
     "/buckets/{bucket}/index/{field}/{term}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}, {"$ref":
       "#/components/parameters/path_field"}, {"$ref": "#/components/parameters/path_term"}],
      "get": {"tags": ["indexes"], "summary": "Objects with a term", "parameters": [{"$ref":
       "#/components/parameters/return_terms"}, {"$ref": "#/components/parameters/max_results"}, {
       "$ref": "#/components/parameters/continuation"}, {"$ref": "#/components/parameters/stream"}
       , {"$ref": "#/components/parameters/term_regex"}, {"$ref":
       "#/components/parameters/timeout"}], "responses": {"200": {"description": "Keys"}, "403": {
       "description": "Switched off"}, "400": {"$ref": "#/components/responses/Malformed"}, "503":
       {"$ref": "#/components/responses/Unavailable"}}}
     },
     "/types/{type}/buckets/{bucket}/index/{field}/{term}": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}, {"$ref": "#/components/parameters/path_field"}, {
       "$ref": "#/components/parameters/path_term"}],
      "get": {"tags": ["indexes"], "summary": "Objects with a term", "parameters": [{"$ref":
       "#/components/parameters/return_terms"}, {"$ref": "#/components/parameters/max_results"}, {
       "$ref": "#/components/parameters/continuation"}, {"$ref": "#/components/parameters/stream"}
       , {"$ref": "#/components/parameters/term_regex"}, {"$ref":
       "#/components/parameters/timeout"}], "responses": {"200": {"description": "Keys"}, "403": {
       "description": "Switched off"}, "400": {"$ref": "#/components/responses/Malformed"}, "503":
       {"$ref": "#/components/responses/Unavailable"}}}
     },
     "/buckets/{bucket}/index/{field}/{start}/{end}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}, {"$ref":
       "#/components/parameters/path_field"}, {"$ref": "#/components/parameters/path_start"}, {
       "$ref": "#/components/parameters/path_end"}],
      "get": {"tags": ["indexes"], "summary": "Objects with a term in a range", "parameters": [{
       "$ref": "#/components/parameters/return_terms"}, {"$ref":
       "#/components/parameters/max_results"}, {"$ref": "#/components/parameters/continuation"}, {
       "$ref": "#/components/parameters/stream"}, {"$ref": "#/components/parameters/term_regex"},
       {"$ref": "#/components/parameters/timeout"}], "responses": {"200": {"description":
       "Keys, or terms with keys"}, "403": {"description": "Switched off"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       }
     },
     "/types/{type}/buckets/{bucket}/index/{field}/{start}/{end}": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}, {"$ref": "#/components/parameters/path_field"}, {
       "$ref": "#/components/parameters/path_start"}, {"$ref": "#/components/parameters/path_end"}
       ],
      "get": {"tags": ["indexes"], "summary": "Objects with a term in a range", "parameters": [{
       "$ref": "#/components/parameters/return_terms"}, {"$ref":
       "#/components/parameters/max_results"}, {"$ref": "#/components/parameters/continuation"}, {
       "$ref": "#/components/parameters/stream"}, {"$ref": "#/components/parameters/term_regex"},
       {"$ref": "#/components/parameters/timeout"}], "responses": {"200": {"description":
       "Keys, or terms with keys"}, "403": {"description": "Switched off"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       }
     },
     "/buckets/{bucket}/query": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}],
      "post": {"tags": ["indexes"], "summary": "Queries one or several indexes with filters",
       "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref":
       "#/components/schemas/Query"}}}}, "responses": {"200": {"description":
       "One member named after the option; X-Riak-Continuation tells where to go on"}, "403": {
       "description": "Switched off"}, "400": {"$ref": "#/components/responses/Malformed"}, "503":
       {"$ref": "#/components/responses/Unavailable"}}}
     },
     "/types/{type}/buckets/{bucket}/query": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}],
      "post": {"tags": ["indexes"], "summary": "Queries one or several indexes with filters",
       "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref":
       "#/components/schemas/Query"}}}}, "responses": {"200": {"description":
       "One member named after the option; X-Riak-Continuation tells where to go on"}, "403": {
       "description": "Switched off"}, "400": {"$ref": "#/components/responses/Malformed"}, "503":
       {"$ref": "#/components/responses/Unavailable"}}}
     },
     "/buckets/{bucket}/counters/{key}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}, {"$ref":
       "#/components/parameters/path_key"}],
      "get": {"tags": ["data types"], "summary": "Reads a counter of old clients", "parameters": [
       {"$ref": "#/components/parameters/r"}, {"$ref": "#/components/parameters/pr"}, {"$ref":
       "#/components/parameters/node_confirms"}, {"$ref": "#/components/parameters/basic_quorum"},
       {"$ref": "#/components/parameters/notfound_ok"}, {"$ref": "#/components/parameters/timeout"
       }], "responses": {"200": {"description": "The number"}, "404": {"description": "Nothing"},
       "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}},
      "post": {"tags": ["data types"], "summary": "Changes a counter of old clients",
       "parameters": [{"$ref": "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"
       }, {"$ref": "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"
       }, {"$ref": "#/components/parameters/timeout"}, {"$ref":
       "#/components/parameters/returnvalue"}], "requestBody": {"required": true, "content": {
       "text/plain": {"schema": {"type": "string"}}}}, "responses": {"200": {"description":
       "The new number"}, "204": {"description": "Changed"}, "409": {"description":
       "The bucket has no siblings"}, "400": {"$ref": "#/components/responses/Malformed"}, "503":
       {"$ref": "#/components/responses/Unavailable"}}}
     },
     "/types/{type}/buckets/{bucket}/counters/{key}": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}, {"$ref": "#/components/parameters/path_key"}],
      "get": {"tags": ["data types"], "summary": "Reads a counter of old clients", "parameters": [
       {"$ref": "#/components/parameters/r"}, {"$ref": "#/components/parameters/pr"}, {"$ref":
       "#/components/parameters/node_confirms"}, {"$ref": "#/components/parameters/basic_quorum"},
       {"$ref": "#/components/parameters/notfound_ok"}, {"$ref": "#/components/parameters/timeout"
       }], "responses": {"200": {"description": "The number"}, "404": {"description": "Nothing"},
       "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}},
      "post": {"tags": ["data types"], "summary": "Changes a counter of old clients",
       "parameters": [{"$ref": "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"
       }, {"$ref": "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"
       }, {"$ref": "#/components/parameters/timeout"}, {"$ref":
       "#/components/parameters/returnvalue"}], "requestBody": {"required": true, "content": {
       "text/plain": {"schema": {"type": "string"}}}}, "responses": {"200": {"description":
       "The new number"}, "204": {"description": "Changed"}, "409": {"description":
       "The bucket has no siblings"}, "400": {"$ref": "#/components/responses/Malformed"}, "503":
       {"$ref": "#/components/responses/Unavailable"}}}
     },
     "/buckets/{bucket}/datatypes": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}],
      "post": {"tags": ["data types"], "summary": "Changes a data type under a new key",
       "parameters": [{"$ref": "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"
       }, {"$ref": "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"
       }, {"$ref": "#/components/parameters/timeout"}, {"$ref":
       "#/components/parameters/returnbody"}], "requestBody": {"required": true, "content": {
       "application/json": {"schema": {}}}}, "responses": {"201": {"description":
       "Made; Location tells the key"}, "400": {"$ref": "#/components/responses/Malformed"},
       "503": {"$ref": "#/components/responses/Unavailable"}}}
     },
     "/types/{type}/buckets/{bucket}/datatypes": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}],
      "post": {"tags": ["data types"], "summary": "Changes a data type under a new key",
       "parameters": [{"$ref": "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"
       }, {"$ref": "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"
       }, {"$ref": "#/components/parameters/timeout"}, {"$ref":
       "#/components/parameters/returnbody"}], "requestBody": {"required": true, "content": {
       "application/json": {"schema": {}}}}, "responses": {"201": {"description":
       "Made; Location tells the key"}, "400": {"$ref": "#/components/responses/Malformed"},
       "503": {"$ref": "#/components/responses/Unavailable"}}}
     },
     "/buckets/{bucket}/datatypes/{key}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}, {"$ref":
       "#/components/parameters/path_key"}],
      "get": {"tags": ["data types"], "summary": "Reads a data type", "parameters": [{"$ref":
       "#/components/parameters/r"}, {"$ref": "#/components/parameters/pr"}, {"$ref":
       "#/components/parameters/node_confirms"}, {"$ref": "#/components/parameters/basic_quorum"},
       {"$ref": "#/components/parameters/notfound_ok"}, {"$ref": "#/components/parameters/timeout"
       }, {"$ref": "#/components/parameters/include_context"}], "responses": {"200": {
       "description": "Value and context"}, "404": {"description": "Nothing"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       },
      "post": {"tags": ["data types"], "summary": "Changes a data type", "parameters": [{"$ref":
       "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"}, {"$ref":
       "#/components/parameters/timeout"}, {"$ref": "#/components/parameters/returnbody"}],
       "requestBody": {"required": true, "content": {"application/json": {"schema": {}}}},
       "responses": {"200": {"description": "The new value"}, "204": {"description": "Changed"},
       "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/types/{type}/buckets/{bucket}/datatypes/{key}": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}, {"$ref": "#/components/parameters/path_key"}],
      "get": {"tags": ["data types"], "summary": "Reads a data type", "parameters": [{"$ref":
       "#/components/parameters/r"}, {"$ref": "#/components/parameters/pr"}, {"$ref":
       "#/components/parameters/node_confirms"}, {"$ref": "#/components/parameters/basic_quorum"},
       {"$ref": "#/components/parameters/notfound_ok"}, {"$ref": "#/components/parameters/timeout"
       }, {"$ref": "#/components/parameters/include_context"}], "responses": {"200": {
       "description": "Value and context"}, "404": {"description": "Nothing"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       },
      "post": {"tags": ["data types"], "summary": "Changes a data type", "parameters": [{"$ref":
       "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"}, {"$ref":
       "#/components/parameters/timeout"}, {"$ref": "#/components/parameters/returnbody"}],
       "requestBody": {"required": true, "content": {"application/json": {"schema": {}}}},
       "responses": {"200": {"description": "The new value"}, "204": {"description": "Changed"},
       "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/mapred": {
      "post": {"tags": ["jobs"], "summary": "Runs a MapReduce job", "parameters": [{"$ref":
       "#/components/parameters/chunked"}], "requestBody": {"required": true, "content": {
       "application/json": {"schema": {"type": "object"}}}}, "responses": {"200": {"description":
       "Results"}, "403": {"description": "Switched off"}, "500": {"description": "The job failed"
       }, "400": {"$ref": "#/components/responses/Malformed"}}}
     },
     "/riak": {
      "get": {"tags": ["oldest paths"], "summary": "Lists buckets; the oldest path", "parameters":
       [{"$ref": "#/components/parameters/buckets"}, {"$ref": "#/components/parameters/timeout"}],
       "responses": {"200": {"description": "Names"}}}
     },
     "/riak/{bucket}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}],
      "get": {"tags": ["oldest paths"], "summary": "Properties and keys of a bucket",
       "parameters": [{"$ref": "#/components/parameters/props"}, {"$ref":
       "#/components/parameters/keys"}], "responses": {"200": {"description":
       "Properties and keys"}}},
      "put": {"tags": ["oldest paths"], "summary": "Changes properties of a bucket",
       "requestBody": {"required": true, "content": {"application/json": {"schema": {"type":
       "object"}}}}, "responses": {"204": {"description": "Changed"}, "400": {"$ref":
       "#/components/responses/Malformed"}}},
      "post": {"tags": ["oldest paths"], "summary": "Stores an object under a new key",
       "parameters": [{"$ref": "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"
       }, {"$ref": "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"
       }, {"$ref": "#/components/parameters/timeout"}], "requestBody": {"required": true,
       "content": {"*/*": {"schema": {"type": "string"}}}}, "responses": {"201": {"description":
       "Stored"}, "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/riak/{bucket}/{key}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}, {"$ref":
       "#/components/parameters/path_key"}],
      "get": {"tags": ["oldest paths"], "summary": "Reads an object", "parameters": [{"$ref":
       "#/components/parameters/r"}, {"$ref": "#/components/parameters/pr"}, {"$ref":
       "#/components/parameters/node_confirms"}, {"$ref": "#/components/parameters/basic_quorum"},
       {"$ref": "#/components/parameters/notfound_ok"}, {"$ref": "#/components/parameters/timeout"
       }, {"$ref": "#/components/parameters/vtag"}], "responses": {"200": {"description":
       "The object"}, "300": {"description": "Several siblings"}, "304": {"description":
       "Not modified"}, "404": {"description": "Nothing"}, "412": {"description":
       "A condition does not hold"}, "400": {"$ref": "#/components/responses/Malformed"}, "503": {
       "$ref": "#/components/responses/Unavailable"}}},
      "put": {"tags": ["oldest paths"], "summary": "Stores an object", "parameters": [{"$ref":
       "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"}, {"$ref":
       "#/components/parameters/timeout"}, {"$ref": "#/components/parameters/returnbody"}],
       "requestBody": {"required": true, "content": {"*/*": {"schema": {"type": "string"}}}},
       "responses": {"200": {"description": "Stored, with the object"}, "204": {"description":
       "Stored"}, "300": {"description": "Stored, with siblings"}, "409": {"description":
       "Another clock"}, "412": {"description": "A condition does not hold"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       },
      "post": {"tags": ["oldest paths"], "summary": "Stores an object", "parameters": [{"$ref":
       "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/node_confirms"}, {"$ref":
       "#/components/parameters/timeout"}, {"$ref": "#/components/parameters/returnbody"}],
       "requestBody": {"required": true, "content": {"*/*": {"schema": {"type": "string"}}}},
       "responses": {"200": {"description": "Stored, with the object"}, "204": {"description":
       "Stored"}, "300": {"description": "Stored, with siblings"}, "409": {"description":
       "Another clock"}, "412": {"description": "A condition does not hold"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       },
      "delete": {"tags": ["oldest paths"], "summary": "Deletes an object", "parameters": [{"$ref":
       "#/components/parameters/w"}, {"$ref": "#/components/parameters/dw"}, {"$ref":
       "#/components/parameters/pw"}, {"$ref": "#/components/parameters/timeout"}], "responses": {
       "204": {"description": "Deleted"}, "404": {"description": "Nothing"}, "400": {"$ref":
       "#/components/responses/Malformed"}, "503": {"$ref": "#/components/responses/Unavailable"}}
       }
     }
    """#
}
