import KVClient
import KVModel
import Testing

/// Index queries and typed buckets of the client on a real node.
@Suite struct ClientIndexTests {
  private struct Patient: Codable, Sendable, Equatable {
    var name: String
    var allergies: Set<String>
  }

  /// A patient client: other tests may hold the processors.
  private func client(of cluster: TestCluster) -> KVClient {
    var configuration = KVClientConfiguration(
      endpoints: [KVEndpoint(host: "127.0.0.1", port: cluster.ports[0].client)])
    configuration.requestTimeout = .seconds(600)
    configuration.attemptTimeout = .seconds(500)
    return KVClient(configuration: configuration)
  }

  @Test func `a typed bucket keeps values, merges siblings and refuses what is none`() async throws
  {
    let cluster = try TestCluster(nodes: 1)
    try await cluster.start(0)
    let client = client(of: cluster)
    let bucket = BucketID(type: BucketID.defaultType, name: Array("patients".utf8))
    var properties = try await client.properties(of: bucket)
    properties.allowMult = true
    try await client.setProperties(properties, of: bucket)
    let patients = TypedBucket<Patient>(
      client: client, bucket: "patients",
      indexes: { [Pair(key: Array("name_bin".utf8), value: Array($0.name.utf8))] },
      resolving: .merging { a, b in
        Patient(name: max(a.name, b.name), allergies: a.allergies.union(b.allergies))
      })
    #expect(try await patients.get("a") == nil)
    try await patients.put(Patient(name: "Ada", allergies: ["nuts"]), at: "a")
    try await patients.put(Patient(name: "Ada", allergies: ["eggs"]), at: "a")
    let both = try #require(try await patients.get("a"))
    #expect(both.value.allergies == ["nuts", "eggs"] && both.hadSiblings)
    try await patients.put(both.value, at: "a", context: both.context)
    try await patients.update("a") { patient in
      var patient = patient ?? Patient(name: "?", allergies: [])
      patient.allergies.insert("milk")
      return patient
    }
    #expect(try await patients.get("a")?.value.allergies == ["nuts", "eggs", "milk"])
    let named = try await client.page(of: .term("Ada", of: "name_bin"), in: bucket, limit: 5)
    #expect(named.matches.map(\.key) == [Array("a".utf8)])
    try await patients.update("b") { Patient(name: $0?.name ?? "Bob", allergies: []) }
    #expect(try await patients.get("b")?.value.name == "Bob")
    try await patients.delete("b")
    #expect(try await patients.get("b") == nil)
    try await client.put(
      Content(value: [1, 2]), at: ObjectKey(bucket: bucket, key: Array("c".utf8)))
    do throws(KVClientError) {
      _ = try await patients.get("c")
      Issue.record("two bytes are no patient")
    } catch {
      #expect(error.code == .undecodable)
    }
    await client.close()
  }

  @Test func `matches come in batches, in pages and by pattern`() async throws {
    let cluster = try TestCluster(nodes: 1)
    try await cluster.start(0)
    let client = client(of: cluster)
    let bucket = BucketID(type: BucketID.defaultType, name: Array("people".utf8))
    for number in 0..<120 {
      var content = Content(value: [1])
      content.indexes = [
        Pair(key: Array("born_int".utf8), value: Array("\(1900 + number)".utf8)),
        Pair(key: Array("name_bin".utf8), value: Array("name\(number % 10)".utf8)),
      ]
      try await client.put(
        content, at: ObjectKey(bucket: bucket, key: Array("k\(number)".utf8)))
    }

    var terms: [Int] = []
    for try await batch in client.matches(of: .numbers(1950...1999, of: "born_int"), in: bucket) {
      terms += batch.compactMap { $0.term.flatMap { Int(String(decoding: $0, as: UTF8.self)) } }
    }
    #expect(terms == Array(1950...1999))

    var page = try await client.page(
      of: .numbers(1900...2100, of: "born_int"), in: bucket, limit: 50)
    var sizes = [page.matches.count]
    var keys = Set(page.matches.map(\.key))
    while let continuation = page.continuation {
      page = try await client.page(
        of: .numbers(1900...2100, of: "born_int"), in: bucket, limit: 50, after: continuation)
      sizes.append(page.matches.count)
      keys.formUnion(page.matches.map(\.key))
    }
    #expect(sizes == [50, 50, 20] && keys.count == 120)

    let one = try await client.page(of: .term("name3", of: "name_bin"), in: bucket, limit: 100)
    #expect(one.matches.count == 12 && one.matches.allSatisfy { $0.term == nil })
    let some = IndexRange.terms(from: "name", through: "name~", of: "name_bin", matching: "[78]$")
    #expect(try await client.page(of: some, in: bucket, limit: 1000).matches.count == 24)

    await #expect(throws: KVClientError.self) {
      try await client.page(of: .term("x", of: "no_kind"), in: bucket, limit: 1)
    }
    await client.close()
  }
}
