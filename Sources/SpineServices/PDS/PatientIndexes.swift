import Foundation

extension PatientRecord {
  /// The index terms by which patients will be searched.
  ///
  /// A restricted patient has no terms that give the place away; an invalidated one has none.
  var indexTerms: [IndexTerm] {
    guard security != .invalidated else { return [] }
    let isOpen = security == .unrestricted
    var terms: Set<IndexTerm> = [IndexTerm("lastmod_bin", "\(time)|\(version)")]
    let birth = (resource["birthDate"]?.string ?? "").replacing("-", with: "")
    let gender = (resource["gender"]?.string ?? "").prefix(1).uppercased()
    let postcode = isOpen ? homePostcode : ""
    for name in resource["name"]?.elements ?? [] {
      let family = Self.folded(name["family"]?.string ?? "")
      let given = (name["given"]?.elements ?? []).map { Self.folded($0.string ?? "") }
      let first = given.first ?? ""
      let finder = "\(birth)|\(family)|\(given.joined(separator: "."))|\(gender)|\(postcode)"
      let isHistoric = name["use"]?.string == "old" || name["use"]?.string == "maiden"
      terms.insert(IndexTerm(isHistoric ? "finderhist_bin" : "finder_bin", finder))
      if !isHistoric {
        terms.insert(IndexTerm("family_bin", "\(family)|\(birth)|\(first)|\(gender)|\(postcode)"))
      }
      let (a, b) = (Soundex.code(family), Soundex.code(first))
      terms.insert(IndexTerm("sdx_bin", "\(a)|\(birth)|\(b)|\(gender)|\(postcode)"))
      terms.insert(IndexTerm("sdx_bin", "\(b)|\(birth)|\(a)|\(gender)|\(postcode)"))
    }
    guard isOpen else { return terms.sorted() }
    if !postcode.isEmpty { terms.insert(IndexTerm("postcode_bin", "\(postcode)|\(birth)|")) }
    for contact in resource["telecom"]?.elements ?? [] {
      guard let value = contact["value"]?.string else { continue }
      let ended = contact["period"]?["end"]?.string.map { $0 < Self.dashed(time) } ?? false
      let index = contact["system"]?.string == "email" ? "email_bin" : "phone_bin"
      terms.insert(
        IndexTerm(index, "\(value.lowercased().replacing(" ", with: ""))|\(ended ? "H" : "C")"))
    }
    terms.formUnion(organisationTerms)
    return terms.sorted()
  }

  private var organisationTerms: [IndexTerm] {
    var terms: [IndexTerm] = []
    if let practice = resource["generalPractitioner"]?[0]?["identifier"],
      let code = practice["value"]?.string
    {
      let since = (practice["period"]?["start"]?.string ?? "").replacing("-", with: "")
      terms.append(IndexTerm("gp_bin", "\(code)|\(since)"))
    }
    let pharmacy = resource["extension"]?.elements.first {
      $0["url"]?.string == PatientFields.nominatedPharmacy
    }
    if let code = pharmacy?["valueReference"]?["identifier"]?["value"]?.string {
      terms.append(IndexTerm("nompharm_bin", "\(code)|"))
    }
    return terms
  }

  private var homePostcode: String {
    let home = resource["address"]?.elements.first { $0["use"]?.string == "home" }
    return (home?["postalCode"]?.string ?? "").uppercased().replacing(" ", with: "")
  }

  private static func dashed(_ time: String) -> String {
    "\(time.prefix(4))-\(time.dropFirst(4).prefix(2))-\(time.dropFirst(6).prefix(2))"
  }

  /// A name as index terms have it: A to Z in upper case, accents and everything else removed.
  static func folded(_ name: String) -> String {
    let plain = name.uppercased().unicodeScalars.flatMap { scalar in
      String(scalar).decomposedStringWithCanonicalMapping.unicodeScalars.prefix(1)
    }
    return String(String.UnicodeScalarView(plain.filter { ("A"..."Z").contains($0) }))
  }
}

/// The American Soundex code of a folded name.
///
/// **Source**: Russell and Odell; letters of one code count once when adjacent or parted only by H
/// or W.
enum Soundex {
  private static let codes: [Character: Character] = {
    var codes: [Character: Character] = [:]
    for (digit, letters) in [
      ("1", "BFPV"), ("2", "CGJKQSXZ"), ("3", "DT"), ("4", "L"), ("5", "MN"), ("6", "R"),
    ] {
      for letter in letters { codes[letter] = Character(digit) }
    }
    return codes
  }()

  static func code(_ name: String) -> String {
    guard let first = name.first else { return "" }
    var code = String(first)
    var last = codes[first]
    for letter in name.dropFirst() where code.count < 4 {
      if letter == "H" || letter == "W" { continue }
      let digit = codes[letter]
      if let digit, digit != last { code.append(digit) }
      last = digit
    }
    return code + String(repeating: "0", count: 4 - code.count)
  }
}
