/// The OpenAPI document of the HTTP interface, served at `/openapi.json`.
///
/// A test holds it against the tables of routes: every route is in it, and nothing else.
enum OpenAPIDocument {
  /// The whole document.
  static let json = """
    {"openapi": "3.1.0", "info": {"title": "SpineKV", "version": "\(ServerVersion.clientInterface)",
     "description": "Riak's client resources, and administration; HEAD works where GET does."},
    "paths": {
    \(clientPaths),
    \(operatorPaths)
    },
    \(components)
    }

    """
}
