/// The workloads of the cluster benchmark, and what must be stored before.
final class ClusterWork {
  struct Workload {
    var name: String
    var end: ClusterLoad.End
    var operation: (Int, inout SystemRandomNumberGenerator) -> ClusterRequest
  }

  private static let bucket = Array("bench".utf8)
  private static let indexed = Array("indexed".utf8)
  private static let hitCount = 100

  private let keyCount: Int
  private let recordCount: Int
  private let value: [UInt8]
  /// Documents put so far, by all mixes.
  private var documentCount = 0

  init(keyCount: Int, recordCount: Int, valueSize: Int) {
    self.keyCount = keyCount
    self.recordCount = recordCount
    value = (0..<valueSize).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) }
  }

  /// Stores keys, keys with index entries, records and documents.
  var loads: [Workload] {
    let general = ClusterMix.general
    return [
      Workload(name: "load", end: .count(keyCount)) { [value] number, _ in
        ClusterRequest(bytes: ClusterFrames.put(Self.bucket, Self.key(number), value))
      },
      Workload(name: "load 2i", end: .count(keyCount)) { number, _ in
        ClusterRequest(
          bytes: ClusterFrames.put(
            Self.indexed, Self.key(number), [1], indexes: [("n_int", "\(number)")]))
      },
      Workload(name: "load records", end: .count(recordCount)) { number, random in
        ClusterRequest(
          bytes: ClusterFrames.put(
            ClusterMix.records, Self.key(number), general.record(&random),
            indexes: ClusterMix.indexes(number)))
      },
      Workload(name: "load documents", end: .count(recordCount)) { [self] _, random in
        ClusterRequest(bytes: putDocument(general, &random))
      },
    ]
  }

  /// The workloads that are measured; pings first.
  func workloads(seconds: Double) -> [Workload] {
    let (keyCount, value) = (keyCount, value)
    let end = ClusterLoad.End.seconds(seconds)
    func some(_ random: inout SystemRandomNumberGenerator) -> [UInt8] {
      Self.key(Int.random(in: 0..<keyCount, using: &random))
    }
    return [
      Workload(name: "ping", end: end) { _, _ in ClusterRequest(bytes: ClusterFrames.ping) },
      Workload(name: "put", end: end) { _, random in
        ClusterRequest(bytes: ClusterFrames.put(Self.bucket, some(&random), value))
      },
      Workload(name: "get", end: end) { _, random in
        ClusterRequest(bytes: ClusterFrames.get(Self.bucket, some(&random)))
      },
      Workload(name: "update", end: end) { _, random in
        Self.update(Self.bucket, some(&random), value)
      },
      Workload(name: "2i", end: end) { _, random in
        let most = max(1, keyCount - Self.hitCount)
        let first = Int.random(in: 0..<most, using: &random)
        return ClusterRequest(
          bytes: ClusterFrames.range(
            Self.indexed, "n_int", "\(first)", "\(first + Self.hitCount - 1)"))
      },
      mix("general", .general, end), mix("clinicals", .clinicals, end),
    ]
  }

  private func mix(_ name: String, _ mix: ClusterMix, _ end: ClusterLoad.End) -> Workload {
    Workload(name: name, end: end) { [self] _, random in
      let record = ClusterMix.record(recordCount, &random)
      switch mix.step(&random) {
      case .getRecord:
        return ClusterRequest(bytes: ClusterFrames.get(ClusterMix.records, Self.key(record)))
      case .updateRecord:
        return Self.update(
          ClusterMix.records, Self.key(record), mix.record(&random),
          indexes: ClusterMix.indexes(record))
      case .putDocument: return ClusterRequest(bytes: putDocument(mix, &random))
      case .getDocument:
        return ClusterRequest(
          bytes: ClusterFrames.get(ClusterMix.documents, someDocument(&random)))
      case .deleteDocument:
        return ClusterRequest(
          bytes: ClusterFrames.delete(ClusterMix.documents, someDocument(&random)))
      case .queryPostcode: return ClusterRequest(bytes: ClusterMix.postcodeQuery(&random))
      case .queryBirth: return ClusterRequest(bytes: ClusterMix.birthQuery(&random))
      }
    }
  }

  private static func key(_ number: Int) -> [UInt8] { Array("key-\(number)".utf8) }

  private static func update(
    _ bucket: [UInt8], _ key: [UInt8], _ value: [UInt8],
    indexes: [(name: String, term: String)] = []
  ) -> ClusterRequest {
    ClusterRequest(bytes: ClusterFrames.get(bucket, key)) { context in
      ClusterFrames.put(bucket, key, value, context: context, indexes: indexes)
    }
  }

  private func putDocument(
    _ mix: ClusterMix, _ random: inout SystemRandomNumberGenerator
  ) -> [UInt8] {
    documentCount += 1
    return ClusterFrames.put(
      ClusterMix.documents, Self.key(documentCount - 1), mix.document(&random))
  }

  private func someDocument(_ random: inout SystemRandomNumberGenerator) -> [UInt8] {
    Self.key(Int.random(in: 0..<max(1, documentCount), using: &random))
  }
}
