import Foundation

/// Seconds since 1970 as HTTP writes them: `Sun, 22 Nov 2026 23:08:54 GMT`.
enum HTTPDate {
  private static let format = "%a, %d %b %Y %H:%M:%S GMT"
  private static let length = 29

  static func text(_ seconds: Int) -> String {
    var time = time_t(seconds)
    var parts = tm()
    guard gmtime_r(&time, &parts) != nil else { return "" }
    return String(unsafeUninitializedCapacity: length + 1) { buffer in
      buffer.withMemoryRebound(to: CChar.self) {
        strftime($0.baseAddress, $0.count, format, &parts)
      }
    }
  }

  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// Reads a date; nil when the text is none.
  static func seconds(_ date: String) -> Int? {
    let words = date.split(separator: " ")
    guard date.utf8.count == length, words.count == 6, words[5] == "GMT",
      let day = Int32(words[1]), let month = months.firstIndex(of: String(words[2])),
      let year = Int32(words[3])
    else { return nil }
    let time = words[4].split(separator: ":").compactMap { Int32($0) }
    guard time.count == 3 else { return nil }
    var parts = tm()
    (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, Int32(month), day)
    (parts.tm_hour, parts.tm_min, parts.tm_sec) = (time[0], time[1], time[2])
    let seconds = timegm(&parts)
    // What is no date of the calendar comes back as another one.
    return text(seconds) == date ? seconds : nil
  }
}
