import Foundation

/// A time as Spine records write it: `YYYYMMDDHHMMSS`, UTC, no zone; dates are `YYYYMMDD`.
///
/// Fixed width, so that the text's order is the order in time.
public struct SpineTime: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The fourteen digits.
  public let text: String

  /// A time of fourteen digits, or a date of eight taken as its midnight; nil for anything else.
  public init?(_ text: String) {
    let padded = text.utf8.count == 8 ? text + "000000" : text
    guard padded.utf8.count == 14, padded.utf8.allSatisfy({ (48...57).contains($0) }) else {
      return nil
    }
    self.text = padded
    guard CivilDate(date) != nil else { return nil }
  }

  /// The time `seconds` after 1970.
  public init(secondsSinceEpoch seconds: Int) {
    let day = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
    let inDay = seconds - day * 86_400
    let date = CivilDate(daysSinceEpoch: day).text
    text =
      date + Self.padded(inDay / 3600, 2) + Self.padded(inDay / 60 % 60, 2)
      + Self.padded(inDay % 60, 2)
  }

  /// The time now.
  public static var now: SpineTime {
    SpineTime(secondsSinceEpoch: Int(Date().timeIntervalSince1970))
  }

  /// A FHIR date or date-time (`2022-10-21`, `2022-10-21T13:47:00+00:00`), as UTC; nil when it is
  /// no real time.
  public init?(fhir text: String) {
    let pieces = text.split(separator: "T", maxSplits: 1)
    guard let first = pieces.first, first.utf8.count == 10,
      let day = CivilDate(first.replacing("-", with: "")),
      first.split(separator: "-").map(\.utf8.count) == [4, 2, 2]
    else { return nil }
    guard pieces.count == 2 else {
      self.init(secondsSinceEpoch: day.daysSinceEpoch * 86_400)
      return
    }
    var time = pieces[1]
    var offset = 0
    if time.hasSuffix("Z") {
      time = time.dropLast()
    } else if let sign = time.lastIndex(where: { $0 == "+" || $0 == "-" }) {
      let zone = time[time.index(after: sign)...].split(separator: ":").compactMap { Int($0) }
      guard zone.count == 2 else { return nil }
      offset = (zone[0] * 3600 + zone[1] * 60) * (time[sign] == "+" ? 1 : -1)
      time = time[..<sign]
    }
    let parts = time.split(separator: ":")
    guard parts.count == 3 || parts.count == 2, let hour = Int(parts[0]),
      let minute = Int(parts[1]),
      let second = parts.count == 3 ? Int(parts[2].prefix(2)) : 0,
      (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second)
    else { return nil }
    self.init(
      secondsSinceEpoch: day.daysSinceEpoch * 86_400 + hour * 3600 + minute * 60 + second - offset)
  }

  /// The seconds since 1970.
  public var secondsSinceEpoch: Int {
    let day = CivilDate(date)?.daysSinceEpoch ?? 0
    let time = Int(text.suffix(6)) ?? 0
    return day * 86_400 + time / 10_000 * 3600 + time / 100 % 100 * 60 + time % 100
  }

  /// The date: the first eight digits.
  public var date: String { String(text.prefix(8)) }

  /// The text for people.
  public var description: String { text }

  /// The order of their texts.
  public static func < (a: SpineTime, b: SpineTime) -> Bool { a.text < b.text }

  static func padded(_ number: Int, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}

/// A day of the Gregorian calendar, `YYYYMMDD`, with the arithmetic that timers need.
///
/// **Source**: days-from-civil of Howard Hinnant, "chrono-compatible low-level date algorithms".
public struct CivilDate: Hashable, Sendable {
  /// Days since 1 January 1970.
  public let daysSinceEpoch: Int

  /// The day that many days after 1 January 1970.
  public init(daysSinceEpoch: Int) { self.daysSinceEpoch = daysSinceEpoch }

  /// A date of eight digits; nil when there is no such day.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count == 8, let number = Int(text), number > 0 else { return nil }
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100)
    guard (1...12).contains(month), (1...Self.dayCount(year: year, month: month)).contains(day)
    else {
      return nil
    }
    daysSinceEpoch = Self.days(year: year, month: month, day: day)
  }

  /// The date as eight digits.
  public var text: String {
    let (year, month, day) = civil
    return SpineTime.padded(year, 4) + SpineTime.padded(month, 2) + SpineTime.padded(day, 2)
  }

  /// The date `count` days later.
  public func adding(days count: Int) -> CivilDate {
    CivilDate(daysSinceEpoch: daysSinceEpoch + count)
  }

  /// The date `count` months later; a day the month lacks becomes its last.
  public func adding(months count: Int) -> CivilDate {
    let (year, month, day) = civil
    let total = year * 12 + month - 1 + count
    let (newYear, newMonth) = (total / 12, total % 12 + 1)
    let last = Self.dayCount(year: newYear, month: newMonth)
    return CivilDate(
      daysSinceEpoch: Self.days(year: newYear, month: newMonth, day: min(day, last)))
  }

  private static func dayCount(year: Int, month: Int) -> Int {
    switch month {
    case 4, 6, 9, 11: 30
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    default: 31
    }
  }

  private static func days(year: Int, month: Int, day: Int) -> Int {
    let y = month <= 2 ? year - 1 : year
    let era = (y >= 0 ? y : y - 399) / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private var civil: (year: Int, month: Int, day: Int) {
    let z = daysSinceEpoch + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    return (
      yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1
    )
  }
}
