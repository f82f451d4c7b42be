import KVBase
import Testing

@testable import SpineServices

@Suite struct RecordTests {
  let store = MemoryBucketStore()
  let clock = TestClock()
  let spine: Spine
  let agent = Agent(organisation: "A83008")
  let nhs: NHSNumber

  init() throws {
    let clock = clock
    spine = Spine(store: store, clock: { clock.now })
    nhs = try #require(NHSNumber("9000000009"))
  }

  private func put(_ name: String, _ body: String, replaces: [MessageID] = []) async throws
    -> MessageID
  {
    let id = Fixtures.message(name)
    try await spine.records.putSummary(
      Bytes(body.utf8), id: id, for: nhs, replaces: replaces, by: agent)
    clock.advance(seconds: 1)
    return id
  }

  private func get(_ id: MessageID) async throws -> String? {
    let body = try await spine.records.summary(
      id.text, of: nhs, by: agent, request: Fixtures.message("read"))
    return body.map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func `the latest summary is current, an older one is not given out`() async throws {
    #expect(try await spine.records.currentSummary(of: nhs) == nil)
    let first = try await put("one", "1")
    let second = try await put("two", "2")
    #expect(try await spine.records.currentSummary(of: nhs) == second.text)
    #expect(try await get(second) == "2")
    #expect(try await get(first) == nil)
    _ = try await put("one", "1")
    #expect(try await spine.records.currentSummary(of: nhs) == second.text)
    #expect(try await store.keys(in: SpineBuckets.summaryBodies.name).count == 2)
  }

  @Test func `of two concurrent summaries the later is current on either side`() async throws {
    let first = try await put("one", "1")
    let key = nhs.digits
    let head = try #require(try await spine.records.heads.fetch(key)?.value)
    _ = try await put("two", "2", replaces: [first])
    var fork = head
    fork.summaries["Z"] = .init(time: "20270101000000", replaces: [first.text])
    store.storeBlindly(
      StoredValue(body: try JSONCoding.encode(fork)), at: key, in: SpineBuckets.summaryHeads.name)
    #expect(try await spine.records.currentSummary(of: nhs) == "Z")
    let merged = try #require(try await spine.records.heads.fetch(key)?.value)
    #expect(merged.summaries.count == 3)
    #expect(head.merged(with: fork) == fork.merged(with: head))
  }

  @Test(arguments: [
    0, 1, RecordService.chunkByteCount, RecordService.chunkByteCount + 1, 1_200_000,
  ])
  func `a record of any size comes back whole`(count: Int) async throws {
    var random = SeededRandom(seed: 7)
    let content = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    let conversation = Fixtures.message("c")
    let manifest = try await spine.records.putRecord(
      content, conversation: conversation, for: nhs, contentType: "x")
    #expect(
      manifest.chunks.count == (count + RecordService.chunkByteCount - 1)
        / RecordService.chunkByteCount)
    #expect(try await spine.records.record(conversation)?.content == content)
    let again = try await spine.records.putRecord(
      content, conversation: conversation, for: nhs, contentType: "x")
    #expect(again == manifest)
  }

  @Test func `a damaged or missing chunk is found`() async throws {
    let conversation = Fixtures.message("c")
    let content = Bytes(repeating: 1, count: 600_000)
    let manifest = try await spine.records.putRecord(
      content, conversation: conversation, for: nhs, contentType: "x")
    let last = try #require(manifest.chunks.last)
    let chunks = SpineBuckets.chunks.name
    let context = try await store.fetch(last.hash, in: chunks)?.context
    try await store.store(
      StoredValue(body: Bytes(repeating: 2, count: last.byteCount)), at: last.hash, in: chunks,
      context: context, if: .none)
    await #expect(throws: SpineError.self) { try await spine.records.record(conversation) }
    try await store.delete(last.hash, in: chunks, context: nil)
    do {
      _ = try await spine.records.record(conversation)
      Issue.record("the chunk is gone")
    } catch {
      #expect(error.code == .recordDamaged)
    }
  }

  @Test func `a conversation cannot take another record`() async throws {
    let conversation = Fixtures.message("c")
    try await spine.records.putRecord([1], conversation: conversation, for: nhs, contentType: "x")
    #expect(
      await code {
        try await spine.records.putRecord(
          [2], conversation: conversation, for: nhs, contentType: "x")
      } == .invalidMessage)
  }

  @Test(.enabled(if: SharedData.isPresent))
  func `the published transfers and summary are stored and read`() async throws {
    var content: Bytes = []
    for file in SharedData.files(under: "gp2gp") {
      content += try SharedData.bytes("gp2gp/\(file)")
    }
    #expect(content.count > 1_000_000)
    let conversation = Fixtures.message("gp2gp")
    try await spine.records.putRecord(
      content, conversation: conversation, for: nhs, contentType: "application/fhir+json")
    #expect(try await spine.records.record(conversation)?.content == content)
    let summary = try SharedData.bytes("scr/UploadScrBundle.json")
    let id = Fixtures.message("scr")
    try await spine.records.putSummary(summary, id: id, for: nhs, by: agent)
    #expect(try await spine.records.summary(id.text, of: nhs, by: agent, request: id) == summary)
  }
}
