import ArgumentParser

/// How the data compare with the caches.
enum DataSet: String, CaseIterable, ExpressibleByArgument {
  /// All of it fits the block cache.
  case inside
  /// Several times as much as the block cache holds.
  case larger

  var settings: EngineSettings { self == .inside ? .roomy : .tight }

  /// Bytes of keys and values.
  func byteCount(quick: Bool) -> Int {
    switch self {
    case .inside: quick ? 24 << 20 : 48 << 20
    case .larger: quick ? 48 << 20 : 100 << 20
    }
  }
}

/// What a run of the benchmark measures, and for how long.
struct StoragePlan {
  var valueSizes: [Int]
  var dataSets: [DataSet]
  var runs: Int
  var quick: Bool
  var only: String?
  var engines: [EngineKind]

  /// The time limit of a workload without an end, in seconds.
  var seconds: Double { quick ? 0.25 : 0.5 }

  /// The keys of the fold.
  var foldKeyCount: Int { 1_000_000 }

  /// Bytes of keys and values that the write amplification is measured on.
  var amplificationByteCount: Int { quick ? 16 << 20 : 48 << 20 }

  /// Bytes of keys and values that are in the journal, unflushed, when the process is killed.
  var crashByteCount: Int { 44 << 20 }

  static let suiteNames = [
    "fillseq", "fillsync 1", "fillsync 16", "fillsync 64", "fillrandom", "readrandom",
    "readmissing", "head / get", "seekrandom", "readseq", "readwhilewriting", "updaterandom",
    "overwrite", "deleterandom",
  ]
  static let foldName = "fold of 1 M keys"
  static let amplificationName = "write-amp overwrite x10"
  static let memoryName = "peak memory"
  static let crashName = "open after crash"

  static var allNames: [String] {
    suiteNames + [foldName, amplificationName, memoryName, crashName]
  }

  /// True for the workloads that were asked for.
  func wants(_ name: String) -> Bool { only.map { name.contains($0) } ?? true }

  func keyCount(_ byteCount: Int, valueByteCount: Int) -> Int {
    max(16, byteCount / (valueByteCount + Keys.byteCount))
  }

  /// The settings and what the rows mean, for people.
  var header: String {
    var lines = [
      "Medians of \(runs) \(runs == 1 ? "run" : "runs"), the engines taking turns (AB BA AB ...).",
      "Both engines: \(EngineSettings.roomy.commonSummary).",
      "Keys of \(Keys.byteCount) B, values of which about half compresses.",
    ]
    for dataSet in dataSets {
      let bytes = dataSet.byteCount(quick: quick)
      lines.append("\(dataSet.rawValue): \(mebibytes(bytes)) of data; \(dataSet.settings.summary).")
    }
    lines += [
      "fillsync N: N threads, each put durable. readwhilewriting: beside 20,000 puts a second, at "
        + "most 16 MiB/s. seekrandom: seek and read 10.",
      "\(Self.foldName): all heads in order, 100 B; \(EngineSettings.roomy.summary).",
      "\(Self.amplificationName), \(Self.memoryName): \(mebibytes(amplificationByteCount)) of "
        + "data, puts at random, the rate with the last settling; \(EngineSettings.tight.summary).",
      "\(Self.crashName): \(mebibytes(crashByteCount)) of data, none flushed; "
        + "\(EngineSettings.unflushed.summary).",
    ]
    return lines.joined(separator: "\n")
  }
}
