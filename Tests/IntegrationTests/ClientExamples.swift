import Foundation
import KVClient
import KVModel
import Testing

/// What a program with swift-metrics has; here it only remembers.
private struct Timer {
  init(label: String, dimensions: [(String, String)]) {}
  func record(duration: Duration) {}
}

private struct Counter {
  init(label: String) {}
  func increment() {}
}

private struct Patient: Codable, Sendable {
  var name: String
  var allergies: Set<String>
}

private struct MetricsObserver: ClientObserver {
  func requestEnded(_ request: ObservedRequest, _ end: ObservedEnd) {
    let dimensions = [
      ("operation", request.operation.rawValue),
      ("node", end.node ?? end.endpoint.map { "\($0)" } ?? "none"),
      ("outcome", end.failure.map { "\($0.code.rawValue)" } ?? "success"),
    ]
    Timer(label: "kv_client_request", dimensions: dimensions).record(duration: end.duration)
  }

  func requestRetried(_ request: ObservedRequest, after failure: KVClientError) {
    Counter(label: "kv_client_retries").increment()
  }
}

/// The examples of the client's documentation, run on a real node.
@Suite(.serialized) struct ClientExamples {
  private func print(_ items: Any...) {}

  @Test func `the examples of the client's documentation run`() async throws {
    let cluster = try TestCluster(nodes: 1)
    try await cluster.start(0)
    for kind in ["counter", "set", "map", "hll", "gset"] {
      try await cluster.createType("\(kind)s", #"{"datatype":"\#(kind)"}"#)
    }
    var configuration = connecting()
    configuration.endpoints = [KVEndpoint(host: "127.0.0.1", port: cluster.ports[0].client)]
    configuration.requestTimeout = .seconds(600)
    configuration.observer = MetricsObserver()
    let client = KVClient(configuration: configuration)
    var properties = try await client.properties(of: "patients")
    properties.allowMult = true
    try await client.setProperties(properties, of: "patients")
    let key = ObjectKey("8", in: "plain")
    try await objects(client)
    try await updates(client, key)
    try await typedBuckets(client)
    try await dataTypes(client)
    try await listings(client)
    try await errors(client, key)
    try await readme(cluster.ports[0].client)
    #expect(client.statistics.failures == 1, "the condition that does not hold")
    await client.close()
  }

  private func connecting() -> KVClientConfiguration {
    var configuration = KVClientConfiguration(endpoints: [
      KVEndpoint(host: "127.0.0.1", port: 8087),
      KVEndpoint(host: "127.0.0.1", port: 8187),
    ])
    configuration.requestTimeout = .seconds(5)
    configuration.hedging = .observed()
    let client = KVClient(configuration: configuration)
    #expect(client.statistics.requests == 0)
    return configuration
  }

  private func objects(_ client: KVClient) async throws {
    let key = ObjectKey("9434765919", in: "patients")
    try await client.put(Content(value: Array("Ada".utf8)), at: key)
    if let object = try await client.get(key) {
      try await client.put(
        Content(value: Array("Ada Lovelace".utf8)), at: key, context: object.context)
    }
    try await client.delete(key)
    #expect(try await client.get(key) == nil)
  }

  private func updates(_ client: KVClient, _ key: ObjectKey) async throws {
    try await client.update(key, resolving: .newest) { present in
      Content(value: (present?.value ?? []) + Array("!".utf8))
    }
    #expect(try await client.get(key)?.value?.value == Array("!".utf8))
  }

  private func typedBuckets(_ client: KVClient) async throws {
    let patients = TypedBucket<Patient>(
      client: client, bucket: "patients",
      indexes: { [Pair(key: Array("name_bin".utf8), value: Array($0.name.utf8))] },
      resolving: .merging { a, b in
        Patient(name: max(a.name, b.name), allergies: a.allergies.union(b.allergies))
      })
    try await patients.update("9434765919") { patient in
      var patient = patient ?? Patient(name: "Ada", allergies: [])
      patient.allergies.insert("penicillin")
      return patient
    }
    if let entry = try await patients.get("9434765919") {
      print(entry.value.name, entry.value.allergies)
    }
    for try await key in patients.keys { print(key) }
    #expect(try await patients.get("9434765919")?.value.allergies == ["penicillin"])
  }

  private func dataTypes(_ client: KVClient) async throws {
    let visits = client.counter(at: ObjectKey("home", in: BucketID(type: "counters", "pages")))
    try await visits.increment()
    try await visits.increment(by: -3)
    let count = try await visits.count()
    #expect(count == -2)

    let tags = client.set(at: ObjectKey("page", in: BucketID(type: "sets", "tags")))
    try await tags.add("draft", "swift")
    if let present = try await tags.fetch() {
      try await tags.remove("draft", from: present)
    }
    #expect(try await tags.fetch()?.strings == ["swift"])

    let record = client.map(at: ObjectKey("9434765919", in: BucketID(type: "maps", "records")))
    try await record.update {
      $0.assign("Ada", toRegister: "name")
      $0.increment(counter: "visits")
      $0.add("nuts", toSet: "allergies")
      $0.enable(flag: "active")
      $0.update(map: "address") { $0.assign("Leeds", toRegister: "town") }
    }
    if let present = try await record.fetch() {
      print(present.fields.text("name") ?? "?", present.fields.counter("visits") ?? 0)
      try await record.update(from: present) {
        $0.remove(.map("address"))
        $0.remove("nuts", fromSet: "allergies")
      }
    }
    #expect(try await record.fetch()?.fields.map("address") == nil)

    let readers = client.estimate(at: ObjectKey("home", in: BucketID(type: "hlls", "readers")))
    try await readers.add("ada", "grace")
    let about = try await readers.count()
    let seen = client.growOnlySet(at: ObjectKey("home", in: BucketID(type: "gsets", "seen")))
    try await seen.add("ada")
    #expect(about == 2)
    #expect(try await seen.elements() == [Array("ada".utf8)])
  }

  private func listings(_ client: KVClient) async throws {
    for try await key in client.keyBatches(in: "patients").elements {
      print(String(decoding: key, as: UTF8.self))
    }
    for try await match in client.matches(
      of: .term("Ada", of: "name_bin"), in: "patients"
    ).elements {
      print(match.key)
    }
    let page = try await client.page(of: .term("Ada", of: "name_bin"), in: "patients", limit: 50)
    #expect(page.matches.map(\.key) == [Array("9434765919".utf8)])
  }

  private func errors(_ client: KVClient, _ key: ObjectKey) async throws {
    var options = PutOptions()
    options.ifNoneMatch = true
    do {
      try await client.put(Content(value: [1]), at: key, options: options)
    } catch {
      if error.code == .matchFound {
        print("somebody was first")
      } else if error.isAmbiguous {
        print("read it to see whether it was written")
      } else {
        throw error
      }
    }
  }

  private func readme(_ port: Int) async throws {
    let client = KVClient(configuration: .init(endpoints: [.init(host: "127.0.0.1", port: port)]))
    let key = ObjectKey("en", in: "greetings")
    try await client.put(Content(value: Array("hello".utf8)), at: key)
    if let found = try await client.get(key) {
      print(String(decoding: found.siblings[0].value, as: UTF8.self))
    }
    await client.close()
  }
}
