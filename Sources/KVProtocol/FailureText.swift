import KVBase
package import KVModel

/// Which request a failure answers; the same failure reads differently for some.
package enum FailureContext: Hashable, Sendable {
  /// Get, put and delete.
  case object
  /// Listings and properties of a bucket.
  case bucket
  /// Properties of a bucket type.
  case bucketType
  /// Data types.
  case dataType
}

extension RequestFailure {
  /// The text of the error response.
  ///
  /// **Source**: reference section 1.3 and the recorded exchanges; clients compare these byte for
  /// byte.
  package func text(for context: FailureContext = .object) -> String {
    switch self {
    case .timeout: "timeout"
    case .overload: "overload"
    case .rUnsatisfied(let need, let got): "{r_val_unsatisfied,\(need),\(got)}"
    case .prUnsatisfied(let need, let got): "{pr_val_unsatisfied,\(need),\(got)}"
    case .dwUnsatisfied(let need, let got): "{dw_val_unsatisfied,\(need),\(got)}"
    case .pwUnsatisfied(let need, let got): "{pw_val_unsatisfied,\(need),\(got)}"
    case .nodeConfirmsUnsatisfied(let need, let got):
      "{node_confirms_val_unsatisfied,\(need),\(got)}"
    case .insufficientNodes(let need, let got): "{insufficient_nodes,\(got),need,\(need)}"
    case .insufficientVnodes(let need, let got): "{insufficient_vnodes,\(got),need,\(need)}"
    case .nValViolation(let value): "{n_val_violation,\(value)}"
    case .quorumViolation(let option, let value): "{\(option)_val_violation,\(value)}"
    case .allNodesDown: "all_nodes_down"
    case .matchFound: "match_found"
    case .modified: "modified"
    case .notFound: "notfound"
    case .failed: "failed"
    case .unknownBucketType(let type): Self.unknownType(type, context)
    case .tooLarge(let what): "{too_large,\(ErlangText.quoted(what))}"
    case .storage(let what): "{storage_error,\(ErlangText.quoted(what))}"
    case .refused(let what): what
    }
  }

  private static func unknownType(_ type: Bytes, _ context: FailureContext) -> String {
    switch context {
    case .object: "no_type"
    case .bucket: "No bucket-type named '\(String(decoding: type, as: UTF8.self))'"
    case .bucketType: "Invalid bucket type: \(ErlangText.binary(type))"
    case .dataType: "Error no bucket type `\(ErlangText.binary(type))`"
    }
  }

  /// Reads a text back; nil when it is none of those above.
  package init?(text: String) {
    if let plain = Self.plain[text] {
      self = plain
      return
    }
    if text.hasPrefix("No bucket-type named '") || text.hasPrefix("Invalid bucket type: ") {
      let name = text.split(separator: "'").dropFirst().first ?? ""
      self = .unknownBucketType(Bytes(name.utf8))
      return
    }
    if text.hasPrefix("Error no bucket type `<<") {
      let name = text.split(separator: "\"").dropFirst().first ?? ""
      self = .unknownBucketType(Bytes(name.utf8))
      return
    }
    guard text.hasPrefix("{"), text.hasSuffix("}") else { return nil }
    let parts = text.dropFirst().dropLast().split(separator: ",", maxSplits: 3)
    guard let tag = parts.first.map(String.init) else { return nil }
    if tag == "too_large" || tag == "storage_error" {
      let what = String(text.dropFirst(tag.count + 3).dropLast(2))
      self = tag == "too_large" ? .tooLarge(what) : .storage(what)
      return
    }
    self.init(tag: tag, numbers: parts.dropFirst().compactMap { Int($0) })
  }

  private static let plain: [String: RequestFailure] = [
    "timeout": .timeout, "overload": .overload, "all_nodes_down": .allNodesDown,
    "match_found": .matchFound, "modified": .modified, "notfound": .notFound,
    "failed": .failed,
    "no_type": .unknownBucketType([]),
  ]

  private init?(tag: String, numbers: [Int]) {
    switch (tag, numbers.count) {
    case ("r_val_unsatisfied", 2): self = .rUnsatisfied(need: numbers[0], got: numbers[1])
    case ("pr_val_unsatisfied", 2): self = .prUnsatisfied(need: numbers[0], got: numbers[1])
    case ("dw_val_unsatisfied", 2): self = .dwUnsatisfied(need: numbers[0], got: numbers[1])
    case ("pw_val_unsatisfied", 2): self = .pwUnsatisfied(need: numbers[0], got: numbers[1])
    case ("node_confirms_val_unsatisfied", 2):
      self = .nodeConfirmsUnsatisfied(need: numbers[0], got: numbers[1])
    case ("insufficient_nodes", 2): self = .insufficientNodes(need: numbers[1], got: numbers[0])
    case ("insufficient_vnodes", 2): self = .insufficientVnodes(need: numbers[1], got: numbers[0])
    case ("n_val_violation", 1): self = .nValViolation(numbers[0])
    default:
      let suffix = "_val_violation"
      guard tag.hasSuffix(suffix), numbers.count == 1, let value = UInt32(exactly: numbers[0])
      else { return nil }
      self = .quorumViolation(option: String(tag.dropLast(suffix.count)), value: value)
    }
  }
}
