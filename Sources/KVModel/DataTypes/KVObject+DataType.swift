public import KVBase

/// Data types as the contents of objects.
extension KVObject {
  /// The join of all contents; nil when there is none but tombstones.
  ///
  /// - Throws: ``DataTypeFailure/mismatch(stored:)`` when a content is not a data type of this kind.
  public func dataType(_ kind: DataTypeKind) throws(DataTypeFailure) -> DataType? {
    var joined: DataType?
    for sibling in siblings where !sibling.content.isTombstone {
      guard let value = try? DataType(encoded: sibling.content.value), value.kind == kind,
        let next = joined.map({ $0.joining(value) }) ?? value
      else {
        let type = DataTypeKind(contentType: sibling.content.contentType)
        throw .mismatch(stored: type?.rawValue ?? "an ordinary value")
      }
      joined = next
    }
    return joined
  }

  /// The content that stands for everything stored and the change, made as the event `dot`.
  public func content(
    changedBy update: DataTypeUpdate, as dot: Dot, at time: WallClock
  ) throws(DataTypeFailure) -> Content {
    let kind = update.operation.kind
    var value = try dataType(kind) ?? DataType(kind, precision: update.precision)
    try value.apply(update, as: dot, at: time)
    return Content(value: value.encoded(), contentType: kind.contentType)
  }
}
