import KVCluster

/// What a setting accepts.
enum SettingKind: Hashable, Sendable {
  case text(allowsEmpty: Bool)
  case choice([String])
  case integer(ClosedRange<Int>)
  /// An integer out of a list.
  case oneOf([Int])
  case boolean
  /// `500ms`, `10s`, `5m`, `1h`.
  case duration(ClosedRange<Duration>)
  /// Bytes as a number, or `16KiB`, `64MiB`, `50MB`.
  case size(ClosedRange<Int>)
  /// `host:port`; an empty text is accepted where the setting may be left out.
  case endpoint(allowsEmpty: Bool)

  /// What a message says was expected.
  var expectation: String {
    switch self {
    case .text(true): "a string"
    case .text(false): "a string that is not empty"
    case .choice(let words): "one of \(words.map { "\"\($0)\"" }.joined(separator: ", "))"
    case .integer(let range): "an integer from \(range.lowerBound) to \(range.upperBound)"
    case .oneOf(let numbers): "one of \(numbers.map(String.init).joined(separator: ", "))"
    case .boolean: "true or false"
    case .duration(let range):
      "a duration such as \"500ms\", \"10s\", \"5m\" from \(Self.text(range.lowerBound))"
        + " to \(Self.text(range.upperBound))"
    case .size(let range):
      "a size such as 4096, \"16KiB\", \"64MiB\" from \(Self.text(byteCount: range.lowerBound))"
        + " to \(Self.text(byteCount: range.upperBound))"
    case .endpoint: "an address \"host:port\" with a port from 0 to 65535"
    }
  }
}

/// A checked value of a setting.
enum SettingValue: Hashable, Sendable {
  case text(String)
  case integer(Int)
  case boolean(Bool)
  case duration(Duration)
  case endpoint(Endpoint?)
}

extension SettingKind {
  /// The value as the setting wants it, or nil when it does not fit ``expectation``.
  func accept(_ value: TOMLValue) -> SettingValue? {
    switch (self, value) {
    case (.text(let allowsEmpty), .string(let text)):
      allowsEmpty || !text.isEmpty ? .text(text) : nil
    case (.choice(let words), .string(let text)): words.contains(text) ? .text(text) : nil
    case (.integer(let range), .integer(let number)):
      range.contains(number) ? .integer(number) : nil
    case (.oneOf(let numbers), .integer(let number)):
      numbers.contains(number) ? .integer(number) : nil
    case (.boolean, .boolean(let flag)): .boolean(flag)
    case (.duration(let range), .string(let text)):
      Self.duration(text).flatMap { range.contains($0) ? .duration($0) : nil }
    case (.size(let range), .integer(let number)): range.contains(number) ? .integer(number) : nil
    case (.size(let range), .string(let text)):
      Self.byteCount(text).flatMap { range.contains($0) ? .integer($0) : nil }
    case (.endpoint(let allowsEmpty), .string(let text)):
      if text.isEmpty {
        allowsEmpty ? .endpoint(nil) : nil
      } else {
        Self.endpoint(text).map { .endpoint($0) }
      }
    default: nil
    }
  }

  /// The value of a flag or an environment variable, which come without quotes.
  func accept(unquoted text: String) -> SettingValue? {
    switch self {
    case .integer, .oneOf: TOMLReader.integer(text).flatMap { accept(.integer($0)) }
    case .boolean:
      switch text {
      case "true": .boolean(true)
      case "false": .boolean(false)
      default: nil
      }
    case .size:
      if let number = TOMLReader.integer(text) {
        accept(.integer(number))
      } else {
        accept(.string(text))
      }
    default: accept(.string(text))
    }
  }

  // MARK: Texts

  private static let durationUnits: [(String, Int)] = [
    ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
  ]

  private static let sizeUnits: [(String, Int)] = [
    ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1000), ("MB", 1_000_000),
    ("GB", 1_000_000_000), ("B", 1),
  ]

  private static func number(_ text: String, units: [(String, Int)]) -> Int? {
    for (unit, scale) in units where text.hasSuffix(unit) {
      guard let count = TOMLReader.integer(String(text.dropLast(unit.count))), count >= 0 else {
        continue
      }
      let (product, overflow) = count.multipliedReportingOverflow(by: scale)
      return overflow ? nil : product
    }
    return nil
  }

  static func duration(_ text: String) -> Duration? {
    number(text, units: durationUnits).map { .milliseconds($0) }
  }

  static func byteCount(_ text: String) -> Int? { number(text, units: sizeUnits) }

  /// `host:port` or `[address]:port`.
  static func endpoint(_ text: String) -> Endpoint? {
    guard let colon = text.lastIndex(of: ":"),
      let port = UInt16(text[text.index(after: colon)...])
    else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    guard !host.isEmpty, !host.contains(where: { $0.isWhitespace || $0 == "/" }) else {
      return nil
    }
    return Endpoint(host: String(host), port: port)
  }

  static func text(_ duration: Duration) -> String {
    let milliseconds =
      duration.components.seconds * 1000
      + duration.components.attoseconds / 1_000_000_000_000_000
    for (unit, scale) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] as [(String, Int64)]
    where milliseconds != 0 && milliseconds % scale == 0 && (unit != "h" || milliseconds > scale) {
      // 60s reads better than 1m for the time-outs of this field.
      if unit == "m", milliseconds == scale { continue }
      return "\(milliseconds / scale)\(unit)"
    }
    return "\(milliseconds)ms"
  }

  static func text(byteCount: Int) -> String {
    for (unit, scale) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
    where byteCount != 0 && byteCount % scale == 0 {
      return "\(byteCount / scale)\(unit)"
    }
    return "\(byteCount)B"
  }

  static func text(_ endpoint: Endpoint?) -> String {
    guard let endpoint else { return "" }
    return endpoint.host.contains(":")
      ? "[\(endpoint.host)]:\(endpoint.port)" : "\(endpoint.host):\(endpoint.port)"
  }
}
