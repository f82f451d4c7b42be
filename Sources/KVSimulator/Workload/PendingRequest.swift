import KVBase
import KVModel

/// A request that a client has sent and that has not been answered.
struct PendingRequest {
  /// What was asked for, with what the answer will be held against.
  enum Kind {
    /// A read of a key.
    case get(key: Int, primaryCount: Int, intent: Client.Intent)
    /// A put, by its number in the history.
    case put(Int)
    /// A delete, by its number in the history.
    case delete(Int)
    /// An operation on a register, by its number.
    case register(Int)
    /// A read of what a race for a register has come to, by its number.
    case verdict(Int)
    /// A listing of keys or of buckets.
    case listing(isOfKeys: Bool)
    /// An index query.
    case query(IndexQuery)
    /// A change of a data type, by its number.
    case typeChange(Int)
    /// A read of a data type, by its key.
    case typeRead(Int)
    /// The write of a key that is never changed afterwards.
    case settling
    /// A listing of the keys that are never changed.
    case settledListing
    /// A query of their indexes, which finds each of them in one of two.
    case settledQuery
    /// A reading of bucket properties.
    case readProperties
    /// A change of bucket properties, by its number.
    case changeProperties(Int)
  }

  /// The client, or nil when the simulation itself asks.
  var client: Int?
  /// What was asked for.
  var kind: Kind
  /// The shard that was asked.
  var place: ShardPlace
  /// When.
  var start: UInt64
  /// Names listed so far.
  var names: [Bytes] = []
  /// Hits told so far.
  var entries: [IndexEntry] = []
  /// Why it failed, once it has.
  var failure: RequestFailure?
}
