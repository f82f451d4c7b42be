import Foundation
import Testing

/// Real processes and sockets; one at a time, since they share two cores.
@Suite(.serialized) struct IntegrationTests {
  @Test func `a wrong setting stops the start with file and line`() async throws {
    let cluster = try TestCluster(nodes: 1)
    let file = cluster.directory.appending(path: "wrong.toml")
    try Data("[node]\nname = \"x\"\nnmae = \"y\"\n".utf8).write(to: file)
    let result = try await Binaries.run("spinekvd", cluster.arguments(0, ["--config", file.path]))
    #expect(result.status == 2)
    #expect(
      result.errors.contains("wrong.toml:3: unknown setting node.nmae; did you mean node.name?"))
    let variable = try await Binaries.run(
      "spinekvd", ["config", "check"], environment: ["SPINEKV_LOG_LEVEL": "loud"])
    #expect(variable.status == 2)
    #expect(variable.errors.contains("environment variable SPINEKV_LOG_LEVEL"))
  }

  @Test func `a data directory serves one process, with the settings it was made with`()
    async throws
  {
    let cluster = try TestCluster(nodes: 1)
    try await cluster.start(0)
    let second = try await Binaries.run("spinekvd", cluster.arguments(0))
    #expect(second.status == 3)
    #expect(second.errors.contains("error 4004"))
    let elsewhere = cluster.directory.appending(path: "other").path
    let taken = try await Binaries.run("spinekvd", cluster.arguments(0, ["--data-dir", elsewhere]))
    #expect(taken.status == 4)
    #expect(taken.errors.contains("listen."))
    #expect(cluster.stop(0) == 0)
    let renamed = try await Binaries.run(
      "spinekvd", cluster.arguments(0, ["--name", "other@127.0.0.1"]))
    #expect(renamed.status == 3)
    #expect(renamed.errors.contains("node.name is \"other@127.0.0.1\" but was"))
  }

  @Test func `ring-admin tells apart refusals, wrong command lines and nodes that are away`()
    async throws
  {
    let cluster = try TestCluster(nodes: 1)
    #expect(try await cluster.admin(0, ["ping"]).status == 3)
    try await cluster.start(0)
    #expect(try await cluster.admin(0, ["ping"]).output == "pong\n")
    #expect(try await cluster.admin(0, ["cluster", "leave", "nobody@nowhere"]).status == 1)
    #expect(try await cluster.admin(0, ["cluster", "bogus"]).status == 2)
    #expect(try await cluster.admin(0, ["cluster", "join"]).status == 2)
    let json = try await cluster.admin(0, ["ring-status", "--format", "json"])
    let document = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
    #expect((document as? [String: Any])?["ring_size"] as? Int == 16)
    #expect(try await cluster.admin(0, ["stat", "no_such_*"]).status == 1)
    #expect(try await cluster.statistic(0, "hints_pending") == 0)
  }

  @Test func `a stopped node's stores are verified, backed up, restored and serve again`()
    async throws
  {
    let cluster = try TestCluster(nodes: 1)
    let data = cluster.directory.appending(path: "node0").path
    let backup = cluster.directory.appending(path: "backup").path
    func admin(_ arguments: String...) async throws -> Binaries.Result {
      try await Binaries.run("ring-admin", ["store"] + arguments)
    }
    try await cluster.start(0)
    let refused = try await admin("verify", data)
    #expect(refused.status == 1 && refused.errors.contains("1008 locked"))
    #expect(cluster.stop(0) == 0)
    #expect(try await admin("verify", data).output.contains(": sound"))
    let json = try await admin("stats", data, "--format", "json")
    #expect(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) is [Any])
    #expect(try await admin("dump", data).output.contains("entry key="))
    #expect(try await admin("compact", data).status == 0)
    #expect(try await admin("backup", data, backup).output.contains(" bytes linked"))
    #expect(try await admin("backup", data, backup).status == 1)
    #expect(try await admin("restore", backup, data).status == 1)
    try FileManager.default.removeItem(atPath: data)
    #expect(try await admin("restore", backup, data).status == 0)
    try await cluster.start(0)
    #expect(cluster.stop(0) == 0)
    #expect(try await admin("verify", data, "--format", "json").output.contains("\"sound\" : true"))
    #expect(try await admin("verify").status == 2)
  }

  @Test func `the HTTP port shows the node and refuses what it does not know`() async throws {
    let cluster = try TestCluster(nodes: 1)
    try await cluster.start(0)
    let page = try Socket.http(cluster.ports[0].http, "GET / HTTP/1.1")
    #expect(page.contains("200 OK") && page.contains("<h2>Ring</h2>"))
    #expect(page.contains("spinekv1@127.0.0.1 (claimant)"))
    let metrics = try Socket.http(cluster.ports[0].http, "GET /metrics HTTP/1.1")
    #expect(metrics.contains("# TYPE spinekv_node_gets_total counter"))
    #expect(metrics.contains("spinekv_get_duration_seconds{quantile=\"0.99\"}"))
    #expect(try Socket.http(cluster.ports[0].http, "GET /ping HTTP/1.1").hasSuffix("OK"))
    let nothing = try Socket.http(cluster.ports[0].http, "GET /nothing HTTP/1.1")
    #expect(nothing.contains("404") && nothing.contains("\"ok\" : false"))
    let large = String(repeating: "x", count: 100_000)
    let refused = try Socket.http(
      cluster.ports[0].http, "POST /admin/cluster/join HTTP/1.1", body: large)
    #expect(refused.contains("413"))
    let wrong = try Socket.http(
      cluster.ports[0].http, "POST /admin/cluster/join HTTP/1.1", body: "{")
    #expect(wrong.contains("400"))
  }

  @Test func `hostile frames on one connection do not hurt another`() async throws {
    let cluster = try TestCluster(nodes: 1)
    try await cluster.start(0)
    let port = cluster.ports[0].client
    let good = try Socket(port)
    let ping: [UInt8] = [0, 0, 0, 1, 1]
    let pong: [UInt8] = [0, 0, 0, 1, 2]
    try good.send(ping)
    #expect(try good.receive(5) == pong)
    let hostile: [[UInt8]] = [
      [0xFF, 0xFF, 0xFF, 0xFF, 9], [0, 0, 0, 0], [0, 0, 0, 5, 9, 0xFF, 0xFF, 0xFF, 0xFF],
      [0, 0, 0, 2, 250, 1], [0, 0], [0, 0, 1, 0, 11, 1, 2, 3],
      Array("GET / HTTP/1.1\r\n\r\n".utf8),
    ]
    for bytes in hostile {
      let bad = try Socket(port)
      try bad.send(bytes)
      bad.finishSending()
      _ = bad.receiveUntilClosed()
      try good.send(ping)
      #expect(try good.receive(5) == pong, "after \(bytes)")
    }
    for bytes: [UInt8] in [[0, 0, 0, 1, 9], [0xFF, 0xFF, 0xFF, 0xFF, 1], [0, 0, 0, 3, 2, 9, 9]] {
      let bad = try Socket(cluster.ports[0].peer)
      try bad.send(bytes)
      bad.finishSending()
      _ = bad.receiveUntilClosed()
    }
    try good.send(ping)
    #expect(try good.receive(5) == pong)
    #expect(cluster.stop(0) == 0)
  }
}
