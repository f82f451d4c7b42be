import Foundation
import Hummingbird
import KVBase
import KVModel
import KVProtocol
import KVTransport
import Testing

@testable import KVServer

/// The document at `/openapi.json` against the routes that there are.
@Suite struct OpenAPITests {
  private struct Route: Hashable, CustomStringConvertible {
    var method: String
    var path: String

    var description: String { "\(method) \(path)" }
  }

  /// The routes of the tables, without HEAD, which is there wherever GET is.
  private static func served() throws -> Set<Route> {
    var routes: Set<Route> = []
    for path in ClientResource.paths + FoldResource.paths {
      let parts = path.dropFirst().split(separator: "/").map { part in
        Bytes((["{count}", "{size}"].contains(part) ? "7" : part).utf8)
      }
      let resource = try #require(ClientResource(parts), "\(path)")
      for method in resource.methods where method != "HEAD" {
        routes.insert(Route(method: method, path: path))
      }
    }
    let node = HTTPInterface.Node(
      administer: { _ in nil },
      statistics: {
        NodeStatistics(
          node: "", uptime: .zero, shards: [], status: nil, connectedClients: 0,
          refusedClients: 0, acceptedClients: 0, peers: (0, 0, 0), storage: [])
      }, replies: { _ in ReplyStream(.deleted) }, entropy: { nil },
      memory: MemoryBudget(limit: 1 << 20))
    let interface = HTTPInterface(node: node, configuration: ServerConfiguration())
    for route in interface.router().routes {
      let path = "/" + "\(route.path)".split(separator: "/").joined(separator: "/")
      routes.insert(
        Route(
          method: route.method.rawValue,
          path: path.replacingOccurrences(of: ":name", with: "{name}")
        ))
    }
    return routes
  }

  private static func document() throws -> JSONValue {
    try #require(JSONValue(Bytes(OpenAPIDocument.json.utf8)))
  }

  private static func documented() throws -> Set<Route> {
    guard case .object(let paths)? = try document()["paths"] else { return [] }
    var routes: Set<Route> = []
    for (path, item) in paths {
      guard case .object(let members) = item else { continue }
      for method in members.keys where method != "parameters" {
        routes.insert(Route(method: method.uppercased(), path: path))
      }
    }
    return routes
  }

  @Test func `every route is in the document, and everything in it is a route`() throws {
    let served = try Self.served()
    let documented = try Self.documented()
    #expect(served.subtracting(documented).isEmpty)
    #expect(documented.subtracting(served).isEmpty)
    #expect(served.count > 80)
  }

  @Test func `every kind of resource has a path`() {
    let resources = (ClientResource.paths + FoldResource.paths).compactMap { path in
      ClientResource(
        path.dropFirst().split(separator: "/").map {
          Bytes(($0 == "{count}" || $0 == "{size}" ? "7" : $0).utf8)
        })
    }
    let kinds = Set(resources.map { "\($0)".prefix { $0 != "(" } })
    #expect(
      kinds == [
        "ping", "mapReduce", "buckets", "keys", "object", "properties", "index", "query", "fold",
        "counter", "dataTypes", "dataType", "oldBucket",
      ])
  }

  @Test func `all parameters of a path and all references are explained`() throws {
    let document = try Self.document()
    func check(_ value: JSONValue) {
      switch value {
      case .object(let members):
        for (name, member) in members {
          if name == "$ref", let reference = member.string {
            let target = reference.dropFirst(2).split(separator: "/").reduce(document as JSONValue?)
            { $0?[String($1)] }
            #expect(target != nil, "\(reference)")
          }
          check(member)
        }
      case .array(let values): for value in values { check(value) }
      default: break
      }
    }
    check(document)
    guard case .object(let paths)? = document["paths"] else { return }
    for (path, item) in paths {
      let names = path.split(separator: "/").filter { $0.hasPrefix("{") }
        .map { "#/components/parameters/path_\($0.dropFirst().dropLast())" }
      let given = item["parameters"]?.array?.compactMap { $0["$ref"]?.string } ?? []
      #expect(names == given, "\(path)")
    }
  }
}
