/// The paths that operators use: folds and administration.
extension OpenAPIDocument {
  static let operatorPaths = #"""
     "/aaebucketlist": {
      "get": {"tags": ["folds"], "summary": "All buckets of all types", "responses": {"200": {
       "description": "Buckets"}, "503": {"$ref": "#/components/responses/Unavailable"}}}
     },
     "/siblings/buckets/{bucket}/counts/{count}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}, {"$ref":
       "#/components/parameters/path_count"}],
      "get": {"tags": ["folds"], "summary": "Objects with more siblings", "parameters": [{"$ref":
       "#/components/parameters/filter"}], "responses": {"200": {"description": "Keys and numbers"
       }, "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/siblings/types/{type}/buckets/{bucket}/counts/{count}": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}, {"$ref": "#/components/parameters/path_count"}],
      "get": {"tags": ["folds"], "summary": "Objects with more siblings", "parameters": [{"$ref":
       "#/components/parameters/filter"}], "responses": {"200": {"description": "Keys and numbers"
       }, "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/objectsizes/buckets/{bucket}/sizes/{size}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}, {"$ref":
       "#/components/parameters/path_size"}],
      "get": {"tags": ["folds"], "summary": "Objects of more bytes", "parameters": [{"$ref":
       "#/components/parameters/filter"}], "responses": {"200": {"description": "Keys and numbers"
       }, "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/objectsizes/types/{type}/buckets/{bucket}/sizes/{size}": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}, {"$ref": "#/components/parameters/path_size"}],
      "get": {"tags": ["folds"], "summary": "Objects of more bytes", "parameters": [{"$ref":
       "#/components/parameters/filter"}], "responses": {"200": {"description": "Keys and numbers"
       }, "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/objectstats/buckets/{bucket}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}],
      "get": {"tags": ["folds"], "summary": "Numbers, sizes and siblings of a bucket's objects",
       "parameters": [{"$ref": "#/components/parameters/filter"}], "responses": {"200": {
       "description": "Numbers"}, "400": {"$ref": "#/components/responses/Malformed"}, "503": {
       "$ref": "#/components/responses/Unavailable"}}}
     },
     "/objectstats/types/{type}/buckets/{bucket}": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}],
      "get": {"tags": ["folds"], "summary": "Numbers, sizes and siblings of a bucket's objects",
       "parameters": [{"$ref": "#/components/parameters/filter"}], "responses": {"200": {
       "description": "Numbers"}, "400": {"$ref": "#/components/responses/Malformed"}, "503": {
       "$ref": "#/components/responses/Unavailable"}}}
     },
     "/tombs/buckets/{bucket}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}],
      "get": {"tags": ["folds"], "summary": "Tombstones", "parameters": [{"$ref":
       "#/components/parameters/filter"}], "responses": {"200": {"description": "Keys and clocks"}
       , "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/tombs/types/{type}/buckets/{bucket}": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}],
      "get": {"tags": ["folds"], "summary": "Tombstones", "parameters": [{"$ref":
       "#/components/parameters/filter"}], "responses": {"200": {"description": "Keys and clocks"}
       , "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/rangerepair/buckets/{bucket}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}],
      "get": {"tags": ["folds"], "summary":
       "Reads objects from all replicas, so that they are repaired", "parameters": [{"$ref":
       "#/components/parameters/filter"}], "responses": {"200": {"description": "How many"},
       "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/rangerepair/types/{type}/buckets/{bucket}": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}],
      "get": {"tags": ["folds"], "summary":
       "Reads objects from all replicas, so that they are repaired", "parameters": [{"$ref":
       "#/components/parameters/filter"}], "responses": {"200": {"description": "How many"},
       "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/reap/buckets/{bucket}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}],
      "get": {"tags": ["folds"], "summary": "Reaps tombstones, or counts them", "parameters": [{
       "$ref": "#/components/parameters/filter"}], "responses": {"200": {"description": "How many"
       }, "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/reap/types/{type}/buckets/{bucket}": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}],
      "get": {"tags": ["folds"], "summary": "Reaps tombstones, or counts them", "parameters": [{
       "$ref": "#/components/parameters/filter"}], "responses": {"200": {"description": "How many"
       }, "400": {"$ref": "#/components/responses/Malformed"}, "503": {"$ref":
       "#/components/responses/Unavailable"}}}
     },
     "/erase/buckets/{bucket}": {
      "parameters": [{"$ref": "#/components/parameters/path_bucket"}],
      "get": {"tags": ["folds"], "summary": "Deletes objects as they were seen, or counts them",
       "parameters": [{"$ref": "#/components/parameters/filter"}], "responses": {"200": {
       "description": "How many"}, "400": {"$ref": "#/components/responses/Malformed"}, "503": {
       "$ref": "#/components/responses/Unavailable"}}}
     },
     "/erase/types/{type}/buckets/{bucket}": {
      "parameters": [{"$ref": "#/components/parameters/path_type"}, {"$ref":
       "#/components/parameters/path_bucket"}],
      "get": {"tags": ["folds"], "summary": "Deletes objects as they were seen, or counts them",
       "parameters": [{"$ref": "#/components/parameters/filter"}], "responses": {"200": {
       "description": "How many"}, "400": {"$ref": "#/components/responses/Malformed"}, "503": {
       "$ref": "#/components/responses/Unavailable"}}}
     },
     "/admin/status": {
      "get": {"tags": ["administration"], "summary": "The cluster as this node sees it",
       "responses": {"200": {"description": "Done"}, "400": {"description":
       "The body does not fit"}, "409": {"description": "The cluster refuses"}, "503": {
       "description": "No answer in time"}}}
     },
     "/admin/aae-status": {
      "get": {"tags": ["administration"], "summary": "What anti-entropy has compared and repaired"
       , "responses": {"200": {"description": "Done"}, "400": {"description":
       "The body does not fit"}, "409": {"description": "The cluster refuses"}, "503": {
       "description": "No answer in time"}}}
     },
     "/admin/fold": {
      "post": {"tags": ["administration"], "summary":
       "Counts, finds or changes objects by their heads", "requestBody": {"required": true,
       "content": {"application/json": {"schema": {"type": "object"}}}}, "responses": {"200": {
       "description": "Done"}, "400": {"description": "The body does not fit"}, "409": {
       "description": "The cluster refuses"}, "503": {"description": "No answer in time"}}}
     },
     "/admin/cluster/plan": {
      "post": {"tags": ["administration"], "summary": "The staged changes", "responses": {"200": {
       "description": "Done"}, "400": {"description": "The body does not fit"}, "409": {
       "description": "The cluster refuses"}, "503": {"description": "No answer in time"}}}
     },
     "/admin/cluster/commit": {
      "post": {"tags": ["administration"], "summary": "Commits the staged changes", "responses": {
       "200": {"description": "Done"}, "400": {"description": "The body does not fit"}, "409": {
       "description": "The cluster refuses"}, "503": {"description": "No answer in time"}}}
     },
     "/admin/cluster/clear": {
      "post": {"tags": ["administration"], "summary": "Drops the staged changes", "responses": {
       "200": {"description": "Done"}, "400": {"description": "The body does not fit"}, "409": {
       "description": "The cluster refuses"}, "503": {"description": "No answer in time"}}}
     },
     "/admin/cluster/join": {
      "post": {"tags": ["administration"], "summary": "Stages a join", "requestBody": {"required":
       true, "content": {"application/json": {"schema": {"type": "object"}}}}, "responses": {
       "200": {"description": "Done"}, "400": {"description": "The body does not fit"}, "409": {
       "description": "The cluster refuses"}, "503": {"description": "No answer in time"}}}
     },
     "/admin/cluster/leave": {
      "post": {"tags": ["administration"], "summary": "Stages a leave", "requestBody": {
       "required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
       "responses": {"200": {"description": "Done"}, "400": {"description":
       "The body does not fit"}, "409": {"description": "The cluster refuses"}, "503": {
       "description": "No answer in time"}}}
     },
     "/admin/cluster/force-remove": {
      "post": {"tags": ["administration"], "summary": "Stages a removal without handoff",
       "requestBody": {"required": true, "content": {"application/json": {"schema": {"type":
       "object"}}}}, "responses": {"200": {"description": "Done"}, "400": {"description":
       "The body does not fit"}, "409": {"description": "The cluster refuses"}, "503": {
       "description": "No answer in time"}}}
     },
     "/admin/cluster/replace": {
      "post": {"tags": ["administration"], "summary": "Stages a replacement", "requestBody": {
       "required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
       "responses": {"200": {"description": "Done"}, "400": {"description":
       "The body does not fit"}, "409": {"description": "The cluster refuses"}, "503": {
       "description": "No answer in time"}}}
     },
     "/admin/cluster/location": {
      "post": {"tags": ["administration"], "summary": "Sets a location", "requestBody": {
       "required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
       "responses": {"200": {"description": "Done"}, "400": {"description":
       "The body does not fit"}, "409": {"description": "The cluster refuses"}, "503": {
       "description": "No answer in time"}}}
     },
     "/admin/transfer-limit": {
      "post": {"tags": ["administration"], "summary": "Limits handoffs", "requestBody": {
       "required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
       "responses": {"200": {"description": "Done"}, "400": {"description":
       "The body does not fit"}, "409": {"description": "The cluster refuses"}, "503": {
       "description": "No answer in time"}}}
     },
     "/admin/down": {
      "post": {"tags": ["administration"], "summary": "Marks a node as down", "requestBody": {
       "required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
       "responses": {"200": {"description": "Done"}, "400": {"description":
       "The body does not fit"}, "409": {"description": "The cluster refuses"}, "503": {
       "description": "No answer in time"}}}
     },
     "/admin/bucket/drop": {
      "post": {"tags": ["administration"], "summary": "Drops what a bucket holds", "requestBody":
       {"required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
       "responses": {"200": {"description": "Done"}, "400": {"description":
       "The body does not fit"}, "409": {"description": "The cluster refuses"}, "503": {
       "description": "No answer in time"}}}
     },
     "/admin/bucket-type/{name}": {
      "parameters": [{"$ref": "#/components/parameters/path_name"}],
      "get": {"tags": ["administration"], "summary": "The properties of a bucket type",
       "responses": {"200": {"description": "Done"}, "400": {"description":
       "The body does not fit"}, "409": {"description": "The cluster refuses"}, "503": {
       "description": "No answer in time"}}},
      "post": {"tags": ["administration"], "summary": "Creates a bucket type", "requestBody": {
       "required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
       "responses": {"200": {"description": "Done"}, "400": {"description":
       "The body does not fit"}, "409": {"description": "The cluster refuses"}, "503": {
       "description": "No answer in time"}}}
     }
    """#
}
