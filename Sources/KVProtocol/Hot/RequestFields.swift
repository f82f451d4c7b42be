import KVBase
import KVModel

/// What an `RpbGetReq` says.
struct GetRequestFields: Hashable {
  var bucket: Bytes = []
  var key: Bytes = []
  var type: Bytes?
  var r: UInt32?
  var pr: UInt32?
  var nodeConfirms: UInt32?
  var basicQuorum: Bool?
  var notFoundOK: Bool?
  var ifModified: Bytes = []
  var head = false
  var tellsTombstoneClock = false
  var timeout: UInt32 = 0
  var sloppyQuorum: Bool?
  var nVal: UInt32?
}

/// What an `RpbPutReq` says.
struct PutRequestFields: Hashable {
  var bucket: Bytes = []
  var key: Bytes?
  var type: Bytes?
  var vclock: Bytes = []
  var content = Content(value: [])
  var w: UInt32?
  var dw: UInt32?
  var pw: UInt32?
  var nodeConfirms: UInt32?
  var timeout: UInt32 = 0
  var sloppyQuorum: Bool?
  var nVal: UInt32?
  var asIs = false
  var syncOnWrite: Bytes = []
  var ifNoneMatch = false
  var ifNotModified = false
  var returnsBody = false
  var returnsHead = false
}

extension GetRequestFields {
  init(_ message: RpbGetReq) {
    bucket = Bytes(message.bucket)
    key = Bytes(message.key)
    type = message.hasType ? Bytes(message.type) : nil
    r = message.hasR ? message.r : nil
    pr = message.hasPr ? message.pr : nil
    nodeConfirms = message.hasNodeConfirms ? message.nodeConfirms : nil
    basicQuorum = message.hasBasicQuorum ? message.basicQuorum : nil
    notFoundOK = message.hasNotfoundOk ? message.notfoundOk : nil
    ifModified = Bytes(message.ifModified)
    head = message.head
    tellsTombstoneClock = message.deletedvclock
    timeout = message.timeout
    sloppyQuorum = message.hasSloppyQuorum ? message.sloppyQuorum : nil
    nVal = message.hasNVal ? message.nVal : nil
  }

  /// Reads the frame of a request of the usual shape; nil for any other, right or wrong.
  init?(frame: Bytes) {
    let fields = frame.withUnsafeBytes { bytes -> GetRequestFields? in
      var cursor = WireCursor(bytes, min(1, bytes.count)..<bytes.count)
      var fields = GetRequestFields()
      var names = 0
      while !cursor.isAtEnd {
        guard let (number, value) = cursor.next(), fields.take(number, value, cursor) else {
          return nil
        }
        if number <= 2 { names |= Int(number) }
      }
      return names == 3 ? fields : nil
    }
    guard let fields else { return nil }
    self = fields
  }

  private mutating func take(
    _ number: UInt64, _ value: WireCursor.Value, _ cursor: WireCursor
  ) -> Bool {
    switch number {
    case 1, 2, 7, 13:
      guard let range = value.range else { return false }
      let bytes = cursor.copy(range)
      switch number {
      case 1: bucket = bytes
      case 2: key = bytes
      case 7: ifModified = bytes
      default: type = bytes
      }
      return true
    default: return take(number, value)
    }
  }

  private mutating func take(_ field: UInt64, _ value: WireCursor.Value) -> Bool {
    guard let number = value.uint32, let flag = value.bool else { return false }
    switch field {
    case 3: r = number
    case 4: pr = number
    case 5: basicQuorum = flag
    case 6: notFoundOK = flag
    case 8: head = flag
    case 9: tellsTombstoneClock = flag
    case 10: timeout = number
    case 11: sloppyQuorum = flag
    case 12: nVal = number
    case 14: nodeConfirms = number
    default: return false
    }
    return true
  }
}

extension PutRequestFields {
  init(_ message: RpbPutReq) {
    bucket = Bytes(message.bucket)
    key = message.hasKey ? Bytes(message.key) : nil
    type = message.hasType ? Bytes(message.type) : nil
    vclock = Bytes(message.vclock)
    content = Content(message.content)
    w = message.hasW ? message.w : nil
    dw = message.hasDw ? message.dw : nil
    pw = message.hasPw ? message.pw : nil
    nodeConfirms = message.hasNodeConfirms ? message.nodeConfirms : nil
    timeout = message.timeout
    sloppyQuorum = message.hasSloppyQuorum ? message.sloppyQuorum : nil
    nVal = message.hasNVal ? message.nVal : nil
    asIs = message.asis
    syncOnWrite = Bytes(message.syncOnWrite)
    ifNoneMatch = message.ifNoneMatch
    ifNotModified = message.ifNotModified
    returnsBody = message.returnBody
    returnsHead = message.returnHead
  }

  /// Reads the frame of a request of the usual shape; nil for any other, right or wrong.
  init?(frame: Bytes) {
    let fields = frame.withUnsafeBytes { bytes -> PutRequestFields? in
      var cursor = WireCursor(bytes, min(1, bytes.count)..<bytes.count)
      var fields = PutRequestFields()
      var hasBucket = false
      var hasContent = false
      while !cursor.isAtEnd {
        guard let (number, value) = cursor.next() else { return nil }
        if number == 4 {
          // A second content would have to be merged with the first.
          guard let range = value.range, !hasContent,
            let content = Content(bytes, range)
          else { return nil }
          fields.content = content
          hasContent = true
        } else {
          guard fields.take(number, value, cursor) else { return nil }
          if number == 1 { hasBucket = true }
        }
      }
      return hasBucket && hasContent ? fields : nil
    }
    guard let fields else { return nil }
    self = fields
  }

  private mutating func take(
    _ number: UInt64, _ value: WireCursor.Value, _ cursor: WireCursor
  ) -> Bool {
    switch number {
    case 1, 2, 3, 16, 18:
      guard let range = value.range else { return false }
      let bytes = cursor.copy(range)
      switch number {
      case 1: bucket = bytes
      case 2: key = bytes
      case 3: vclock = bytes
      case 16: type = bytes
      default: syncOnWrite = bytes
      }
      return true
    default: return take(number, value)
    }
  }

  private mutating func take(_ field: UInt64, _ value: WireCursor.Value) -> Bool {
    guard let number = value.uint32, let flag = value.bool else { return false }
    switch field {
    case 5: w = number
    case 6: dw = number
    case 7: returnsBody = flag
    case 8: pw = number
    case 9: ifNotModified = flag
    case 10: ifNoneMatch = flag
    case 11: returnsHead = flag
    case 12: timeout = number
    case 13: asIs = flag
    case 14: sloppyQuorum = flag
    case 15: nVal = number
    case 17: nodeConfirms = number
    default: return false
    }
    return true
  }
}

extension Content {
  /// Reads an `RpbContent` of the usual shape; nil for any other.
  fileprivate init?(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
    self.init(value: [])
    var cursor = WireCursor(bytes, range)
    var hasValue = false
    var seconds: UInt32 = 0
    var microseconds: UInt32 = 0
    while !cursor.isAtEnd {
      guard let (number, value) = cursor.next() else { return nil }
      switch (number, value) {
      case (1, .bytes(let range)):
        self.value = cursor.copy(range)
        hasValue = true
      case (2, .bytes(let range)): contentType = cursor.copy(range)
      case (3, .bytes(let range)): charset = cursor.copy(range)
      case (4, .bytes(let range)): contentEncoding = cursor.copy(range)
      case (5, .bytes(let range)): vtag = cursor.copy(range)
      case (6, .bytes(let range)):
        guard let link = Link(bytes, range) else { return nil }
        links.append(link)
      case (7, .number(let value)): seconds = UInt32(truncatingIfNeeded: value)
      case (8, .number(let value)): microseconds = UInt32(truncatingIfNeeded: value)
      case (9, .bytes(let range)):
        guard let pair = Pair(bytes, range) else { return nil }
        userMetadata.append(pair)
      case (10, .bytes(let range)):
        guard let pair = Pair(bytes, range) else { return nil }
        indexes.append(pair)
      case (11, .number(let value)): isTombstone = value != 0
      default: return nil
      }
    }
    guard hasValue else { return nil }
    lastModified = WallClock(
      microseconds: UInt64(seconds) * 1_000_000 + UInt64(microseconds))
  }
}

extension Link {
  fileprivate init?(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
    self.init(bucket: nil, key: nil, tag: nil)
    var cursor = WireCursor(bytes, range)
    while !cursor.isAtEnd {
      guard let (number, value) = cursor.next(), let range = value.range else { return nil }
      switch number {
      case 1: bucket = cursor.copy(range)
      case 2: key = cursor.copy(range)
      case 3: tag = cursor.copy(range)
      default: return nil
      }
    }
  }
}

extension Pair {
  fileprivate init?(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
    self.init(key: [], value: nil)
    var cursor = WireCursor(bytes, range)
    var hasKey = false
    while !cursor.isAtEnd {
      guard let (number, value) = cursor.next(), let range = value.range else { return nil }
      switch number {
      case 1:
        key = cursor.copy(range)
        hasKey = true
      case 2: self.value = cursor.copy(range)
      default: return nil
      }
    }
    guard hasKey else { return nil }
  }
}
