/// The failures that the cluster engine itself finds in a store; Docs/Errors.md lists them.
public enum ClusterError {
  /// The number of a failure, stable and unique across modules (2xxx).
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// The number.
    public let rawValue: UInt16

    /// The code with this number.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// A stored object does not decode.
    public static let malformedObject = Code(rawValue: 2001)
    /// A stored metadata value does not decode.
    public static let malformedMetadata = Code(rawValue: 2002)
    /// A key of the store is no object's name.
    public static let malformedKey = Code(rawValue: 2003)
  }

  static func malformedMetadata(_ name: String) -> ReplicaStoreFailure {
    ReplicaStoreFailure(
      code: Code.malformedMetadata.rawValue,
      description: "the stored value of \(name) does not decode")
  }

  static func malformedObject(_ partition: PartitionID, _ why: String) -> ReplicaStoreFailure {
    ReplicaStoreFailure(
      code: Code.malformedObject.rawValue,
      description: "an object of partition \(partition.index) does not decode: \(why)")
  }
}
