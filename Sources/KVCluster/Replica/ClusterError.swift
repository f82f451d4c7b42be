import KVModel

/// The codes of failures that the cluster engine itself finds (2xxx); Docs/Errors.md lists them.
public enum ClusterError {
  /// A stored object does not decode.
  public static let malformedObjectCode: UInt16 = 2001
  /// A stored metadata value does not decode.
  public static let malformedMetadataCode: UInt16 = 2002

  /// A key of the store is no object's name.
  public static let malformedKeyCode: UInt16 = 2003

  static func malformedMetadata(_ name: String) -> ReplicaStoreFailure {
    ReplicaStoreFailure(
      code: malformedMetadataCode, description: "the stored value of \(name) does not decode")
  }

  static func malformedObject(_ partition: PartitionID, _ why: String) -> ReplicaStoreFailure {
    ReplicaStoreFailure(
      code: malformedObjectCode,
      description: "an object of partition \(partition.index) does not decode: \(why)")
  }
}
