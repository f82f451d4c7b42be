public import KVBase

/// The records service: patients' current summaries, and large records in chunks.
public struct RecordService: Sendable {
  let heads: BucketHandle<SummaryHead>
  let bodies: BucketHandle<SummaryBody>
  let manifests: BucketHandle<RecordManifest>
  let chunks: BucketHandle<Bytes>
  let clock: @Sendable () -> SpineTime
  let audit: AuditTrail

  /// The size of a chunk; a large record's pieces are all this long but the last.
  public static let chunkByteCount = 256 * 1024
  /// The largest record taken: the receiving systems' limit of 100 MB.
  public static let recordByteLimit = 100 * 1024 * 1024

  init(store: any BucketStore, clock: @escaping @Sendable () -> SpineTime, audit: AuditTrail) {
    heads = BucketHandle(SpineBuckets.summaryHeads, on: store)
    bodies = BucketHandle(SpineBuckets.summaryBodies, on: store)
    manifests = BucketHandle(SpineBuckets.manifests, on: store)
    chunks = BucketHandle(SpineBuckets.chunks, on: store)
    self.clock = clock
    self.audit = audit
  }

  // MARK: Summaries

  /// Stores a summary as the patient's current one; earlier ones stay, for audit.
  ///
  /// The body is written before the head points to it. The same summary again changes nothing.
  public func putSummary(
    _ body: Bytes, id: MessageID, for nhs: NHSNumber, replaces: [MessageID] = [], by agent: Agent
  ) async throws(SpineError) {
    let time = clock()
    let summary = SummaryBody(
      nhsNumber: nhs.digits, practice: agent.organisation, time: time.text, body: body)
    try await bodies.putOnce(summary, at: id.text)
    try await heads.update(nhs.digits) { current in
      var head = current ?? SummaryHead(practice: agent.organisation, summaries: [:])
      guard head.summaries[id.text] == nil else { return .keep(()) }
      // An upload that names nothing replaces what is current now.
      let earlier = replaces.isEmpty ? [head.current].compactMap(\.self) : replaces.map(\.text)
      head.summaries[id.text] = SummaryHead.Entry(time: time.text, replaces: earlier.sorted())
      head.practice = agent.organisation
      return .write(head, ())
    }
    try await audit.note(
      "update", "SummaryCareRecord", key: id.text, patient: nhs.digits, by: agent, request: id)
  }

  /// The identifier of the patient's current summary, nil when there is none.
  public func currentSummary(of nhs: NHSNumber) async throws(SpineError) -> String? {
    try await heads.fetch(nhs.digits)?.value.current
  }

  /// The patient's summary with an identifier; nil when it is not the current one.
  public func summary(
    _ id: String, of nhs: NHSNumber, by agent: Agent, request: MessageID
  ) async throws(SpineError) -> Bytes? {
    guard try await currentSummary(of: nhs) == id else { return nil }
    guard let stored = try await bodies.fetch(id)?.value, stored.nhsNumber == nhs.digits else {
      throw SpineError(.recordDamaged, "the body of summary \(id) is not there")
    }
    try await audit.note(
      "read", "SummaryCareRecord", key: id, patient: nhs.digits, by: agent, request: request)
    return stored.body
  }
}

extension RecordService {
  // MARK: Large records

  /// Stores a record of any size up to the limit, in chunks named by their content.
  ///
  /// The manifest is written last: until then the record does not exist, and a writer that dies
  /// leaves only chunks that the next attempt finds in place.
  @discardableResult
  public func putRecord(
    _ content: Bytes, conversation: MessageID, for nhs: NHSNumber, contentType: String
  ) async throws(SpineError) -> RecordManifest {
    guard content.count <= Self.recordByteLimit else {
      throw SpineError(.invalidMessage, "\(content.count) bytes; at most \(Self.recordByteLimit)")
    }
    var list: [RecordManifest.Chunk] = []
    for start in stride(from: 0, to: content.count, by: Self.chunkByteCount) {
      let piece = Bytes(content[start..<min(start + Self.chunkByteCount, content.count)])
      let hash = SHA256.hex(piece)
      try await chunks.putOnce(piece, at: hash)
      list.append(.init(hash: hash, byteCount: piece.count))
    }
    let manifest = RecordManifest(
      nhsNumber: nhs.digits, contentType: contentType, byteCount: content.count,
      hash: SHA256.hex(content), chunks: list, time: clock().text)
    if try await !manifests.putOnce(manifest, at: conversation.text) {
      guard let kept = try await manifests.fetch(conversation.text)?.value,
        kept.hash == manifest.hash
      else { throw SpineError(.invalidMessage, "conversation \(conversation) has another record") }
      return kept
    }
    return manifest
  }

  /// Reads a record back; every chunk's length and hash are verified.
  public func record(
    _ conversation: MessageID
  ) async throws(SpineError) -> (manifest: RecordManifest, content: Bytes)? {
    guard let manifest = try await manifests.fetch(conversation.text)?.value else { return nil }
    var content: Bytes = []
    content.reserveCapacity(min(manifest.byteCount, Self.recordByteLimit))
    for (index, chunk) in manifest.chunks.enumerated() {
      guard let piece = try await chunks.fetch(chunk.hash)?.value else {
        throw SpineError(.recordDamaged, "chunk \(index) of \(conversation) is missing")
      }
      guard piece.count == chunk.byteCount, SHA256.hex(piece) == chunk.hash else {
        throw SpineError(.recordDamaged, "chunk \(index) of \(conversation) is damaged")
      }
      content += piece
    }
    guard content.count == manifest.byteCount, SHA256.hex(content) == manifest.hash else {
      throw SpineError(.recordDamaged, "\(conversation) does not match its manifest")
    }
    return (manifest, content)
  }
}
