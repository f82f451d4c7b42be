import Synchronization

/// What a store must hold, since it said so: every acknowledged write of a run, by key.
///
/// A write whose outcome is not known is no entry: it may be there or not.
public final class Ledger: Sendable {
  /// One key and what must be found there.
  public enum Claim: Sendable {
    /// A prescription's record holds the changes of these messages.
    case prescription(key: String, messages: Set<String>)
    /// A document is there with these bytes' hash.
    case document(key: String, hash: UInt64)
    /// A patient's record is at this version or later and holds the changes of these requests.
    case patient(key: String, version: Int, requests: Set<String>)
    /// A patient's summaries include these.
    case summaries(key: String, ids: Set<String>)
    /// A large record is complete and has this hash.
    case largeRecord(conversation: String, hash: String)
  }

  private struct State {
    var prescriptions: [String: Set<String>] = [:]
    var documents: [String: UInt64] = [:]
    var patients: [String: (version: Int, requests: Set<String>)] = [:]
    var summaries: [String: Set<String>] = [:]
    var largeRecords: [String: String] = [:]
    var writeCount = 0
  }

  private let state = Mutex(State())

  /// An empty ledger.
  public init() {}

  /// The number of acknowledged writes.
  public var writeCount: Int { state.withLock { $0.writeCount } }

  func acknowledgePrescription(_ key: String, _ message: MessageID) {
    state.withLock {
      $0.prescriptions[key, default: []].insert(message.text)
      $0.writeCount += 1
    }
  }

  func acknowledgeDocument(_ key: String, hash: UInt64) {
    state.withLock {
      $0.documents[key] = hash
      $0.writeCount += 1
    }
  }

  func acknowledgePatient(_ key: String, version: Int, request: MessageID?) {
    state.withLock {
      var entry = $0.patients[key] ?? (0, [])
      entry.version = max(entry.version, version)
      if let request { entry.requests.insert(request.text) }
      $0.patients[key] = entry
      $0.writeCount += 1
    }
  }

  func acknowledgeSummary(_ key: String, _ id: MessageID) {
    state.withLock {
      $0.summaries[key, default: []].insert(id.text)
      $0.writeCount += 1
    }
  }

  func acknowledgeLargeRecord(_ conversation: MessageID, hash: String) {
    state.withLock {
      $0.largeRecords[conversation.text] = hash
      $0.writeCount += 1
    }
  }

  /// Everything to be found, in a fixed order.
  public var claims: [Claim] {
    state.withLock { state in
      var claims: [Claim] = []
      for (key, messages) in state.prescriptions.sorted(by: { $0.key < $1.key }) {
        claims.append(.prescription(key: key, messages: messages))
      }
      for (key, hash) in state.documents.sorted(by: { $0.key < $1.key }) {
        claims.append(.document(key: key, hash: hash))
      }
      for (key, entry) in state.patients.sorted(by: { $0.key < $1.key }) {
        claims.append(.patient(key: key, version: entry.version, requests: entry.requests))
      }
      for (key, ids) in state.summaries.sorted(by: { $0.key < $1.key }) {
        claims.append(.summaries(key: key, ids: ids))
      }
      for (key, hash) in state.largeRecords.sorted(by: { $0.key < $1.key }) {
        claims.append(.largeRecord(conversation: key, hash: hash))
      }
      return claims
    }
  }
}

/// Checks a ledger's claims against what one node answers.
public struct LedgerVerifier: Sendable {
  let store: any BucketStore

  /// A verifier that reads from `store`.
  public init(store: any BucketStore) { self.store = store }

  /// What is missing, in words; nil when all of the claim is there.
  public func missing(_ claim: Ledger.Claim) async throws(SpineError) -> String? {
    switch claim {
    case .prescription(let key, let messages):
      let record = try await BucketHandle(SpineBuckets.prescriptions, on: store).fetch(key)?.value
      guard let record else { return "prescription \(key) is not there" }
      let lost = messages.filter { record.changeLog[$0] == nil }
      return lost.isEmpty ? nil : "prescription \(key) lacks the messages \(lost.sorted())"
    case .document(let key, let hash):
      let document = try await BucketHandle(SpineBuckets.documents, on: store).fetch(key)?.value
      guard let document else { return "document \(key) is not there" }
      return DemoWorkload.hash(document.body) == hash ? nil : "document \(key) has other content"
    case .patient(let key, let version, let requests):
      let record = try await BucketHandle(SpineBuckets.patients, on: store).fetch(key)?.value
      guard let record else { return "patient \(key) is not there" }
      guard record.version >= version else {
        return "patient \(key) is at version \(record.version), not \(version)"
      }
      let lost = record.prunedCount > 0 ? [] : requests.filter { record.changeLog[$0] == nil }
      return lost.isEmpty ? nil : "patient \(key) lacks the requests \(lost.sorted())"
    case .summaries(let key, let ids):
      let head = try await BucketHandle(SpineBuckets.summaryHeads, on: store).fetch(key)?.value
      for id in ids.sorted() {
        guard head?.summaries[id] != nil else { return "summary \(id) of \(key) is not listed" }
        let body = try await BucketHandle(SpineBuckets.summaryBodies, on: store).fetch(id)
        guard body != nil else { return "the body of summary \(id) is not there" }
      }
      return nil
    case .largeRecord(let conversation, let hash):
      let spine = Spine(store: store, audits: false)
      guard let id = MessageID(conversation), let found = try await spine.records.record(id) else {
        return "record \(conversation) is not there"
      }
      return found.manifest.hash == hash ? nil : "record \(conversation) has other content"
    }
  }
}
