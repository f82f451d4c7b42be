/// The first byte of each frame's payload: which message follows.
///
/// **Source**: reference section 1.2; the messages served here, and those a client may be answered.
package enum ClientMessageCode: UInt8, Sendable {
  case errorResponse = 0
  case ping = 1
  case pong = 2
  case getClientID = 3
  case clientID = 4
  case setClientID = 5
  case clientIDSet = 6
  case getServerInfo = 7
  case serverInfo = 8
  case get = 9
  case got = 10
  case put = 11
  case stored = 12
  case delete = 13
  case deleted = 14
  case listBuckets = 15
  case buckets = 16
  case listKeys = 17
  case keys = 18
  case getBucket = 19
  case bucket = 20
  case setBucket = 21
  case bucketSet = 22
  case mapReduce = 23
  case mapReduced = 24
  case index = 25
  case indexHits = 26
  case resetBucket = 29
  case bucketReset = 30
  case getBucketType = 31
  case setBucketType = 32
  case getPreferenceList = 33
  case preferenceList = 34
  case foldBucket = 40
  case folded = 41
  case updateCounter = 50
  case counterUpdated = 51
  case getCounter = 52
  case counter = 53
  case fetchDataType = 80
  case dataType = 81
  case updateDataType = 82
  case dataTypeUpdated = 83
  case foldFindKeys = 215
  case foldObjectStatistics = 216
  case foldFindTombstones = 218
  case foldRepairKeys = 219
  case foldKeyValues = 221
  case foldKeyCounts = 222
  case foldListBuckets = 223
  case foldBuckets = 224
  case foldReapTombstones = 230
  case foldEraseKeys = 231
  case startTLS = 255

  /// True for what a client may send.
  package var isRequest: Bool {
    switch self {
    case .ping, .getClientID, .setClientID, .getServerInfo, .get, .put, .delete, .listBuckets,
      .listKeys, .getBucket, .setBucket, .resetBucket, .getBucketType, .setBucketType, .index,
      .getPreferenceList, .updateCounter, .getCounter, .fetchDataType, .updateDataType,
      .mapReduce, .foldBucket, .foldFindKeys, .foldObjectStatistics, .foldFindTombstones,
      .foldRepairKeys, .foldListBuckets, .foldReapTombstones, .foldEraseKeys, .startTLS:
      true
    default: false
    }
  }
}

/// A request that is answered with an error instead of being performed.
package struct ProtocolFailure: Error, Hashable, Sendable {
  /// The text of the error response.
  package var text: String
  /// Whether the connection is closed after the error response.
  package var closesConnection: Bool

  /// A request refused by its content: the connection stays usable.
  package static func refused(_ text: String) -> ProtocolFailure {
    ProtocolFailure(text: text, closesConnection: false)
  }

  /// A body that is no such message: the sender's state is unknown, so the connection ends.
  package static func undecodable(_ reason: String) -> ProtocolFailure {
    ProtocolFailure(
      text: "Error processing incoming message: error:badarg:\(reason)", closesConnection: true)
  }
}
