public import KVBase
public import KVModel

/// What buckets say about the life of their contents: when they expire, and what was dropped.
///
/// A content is *dead* when its time to live is over, or when it was written no later than the moment
/// at which its bucket was dropped. Vnodes neither take in nor list dead contents, and coordinators do
/// not return them, so it does not matter when their bytes go.
///
/// **Invariants**: everything follows from the view's properties, the content's own time and the
/// wall clock handed in.
public struct BucketRules: Sendable {
  /// The rules of one bucket at one moment.
  public struct Life: Hashable, Sendable {
    /// Contents written at this time or before it are dead; nil when there is no such time.
    public var deadThrough: WallClock?
    /// The seconds that a content lives.
    public var secondsToLive: UInt64?
    /// When the bucket was dropped.
    public var dropTime: WallClock?

    /// True when the content is dead.
    public func isDead(_ content: Content) -> Bool {
      guard let deadThrough else { return false }
      return content.lastModified <= deadThrough
    }

    /// The second from which on no content of the object is alive; nil for never.
    public func expiry(of object: KVObject) -> UInt64? {
      guard let secondsToLive,
        let latest = object.siblings.map(\.content.lastModified.microseconds).max()
      else { return nil }
      return latest / 1_000_000 + secondsToLive + 1
    }
  }

  /// The rules of buckets that have none.
  public static let none = BucketRules()

  private let view: ClusterView?

  private init() { view = nil }

  /// The rules that the properties of the view's buckets state.
  public init(_ view: ClusterView) {
    let matters = view.properties.contains {
      $0.properties.secondsToLive != nil || $0.properties.dropTime != nil
    }
    self.view = matters ? view : nil
  }

  /// The rules of `bucket` at `time`; nil when nothing can be dead.
  ///
  /// Cost is O(log buckets with properties), nothing when no bucket has rules.
  public func life(in bucket: BucketID, at time: WallClock) -> Life? {
    guard let view else { return nil }
    var life = Life()
    life.secondsToLive = view.properties(of: bucket).secondsToLive
    life.dropTime = view.dropTime(of: bucket)
    guard life.secondsToLive != nil || life.dropTime != nil else { return nil }
    let dropped = life.dropTime?.microseconds ?? 0
    let (span, overflow) = (life.secondsToLive ?? .max).multipliedReportingOverflow(by: 1_000_000)
    let expired = overflow || span > time.microseconds ? 0 : time.microseconds - span
    let latest = max(dropped, expired)
    life.deadThrough = latest > 0 ? WallClock(microseconds: latest) : nil
    return life
  }
}

extension BucketProperties {
  private static let dropTimeName = Bytes("dropped_at".utf8)

  /// When the bucket was dropped, in a marker of ``ClusterView/dropMarker(of:)``.
  public var dropTime: WallClock? {
    get {
      guard let text = opaque.first(where: { $0.key == Self.dropTimeName })?.value,
        let time = UInt64(String(decoding: text, as: UTF8.self)), time > 0
      else { return nil }
      return WallClock(microseconds: time)
    }
    set {
      opaque.removeAll { $0.key == Self.dropTimeName }
      if let newValue {
        let text = Bytes("\(newValue.microseconds)".utf8)
        opaque.append(Pair(key: Self.dropTimeName, value: text))
        opaque.sort()
      }
    }
  }
}

extension ClusterView {
  private static let markerPrefix = Bytes("\u{0}dropped\u{0}".utf8)

  /// The entry of the property table that says when `bucket` was dropped.
  ///
  /// It stands beside the bucket's own entry, so that setting or resetting the bucket's properties
  /// leaves it alone.
  public static func dropMarker(of bucket: BucketID) -> BucketID {
    BucketID(type: markerPrefix + bucket.type, name: bucket.name)
  }

  /// The bucket that an entry of the property table is the marker of; nil for other entries.
  public static func bucket(ofDropMarker marker: BucketID) -> BucketID? {
    guard marker.type.starts(with: markerPrefix), !marker.name.isEmpty else { return nil }
    return BucketID(
      type: Bytes(marker.type.dropFirst(markerPrefix.count)), name: marker.name)
  }

  /// When the bucket was last dropped; nil for never.
  public func dropTime(of bucket: BucketID) -> WallClock? {
    properties(of: Self.dropMarker(of: bucket)).dropTime
  }

  /// Every bucket that was dropped, with the time, sorted by bucket.
  public var droppedBuckets: [(bucket: BucketID, time: WallClock)] {
    properties.compactMap { entry in
      guard let bucket = Self.bucket(ofDropMarker: entry.bucket),
        let time = entry.properties.dropTime
      else { return nil }
      return (bucket, time)
    }
  }
}
