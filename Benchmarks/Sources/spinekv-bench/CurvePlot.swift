import Foundation

/// Small line charts in a grid, as an SVG document.
struct CurvePlot {
  /// One line.
  struct Series {
    var name: String
    var color: String
    var values: [Double]
  }

  /// Lines over the same points.
  struct Chart {
    var title: String
    var labels: [String]
    var series: [Series]
  }

  var charts: [Chart]
  var columns: Int

  private let width = 260.0
  private let height = 190.0
  private let left = 40.0
  private let right = 12.0
  private let top = 26.0
  private let bottom = 24.0

  /// The document.
  var svg: String {
    let rows = (charts.count + columns - 1) / columns
    let size = (width: width * Double(columns), height: height * Double(rows) + 24)
    var lines = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(number(size.width)) \
      \(number(size.height))" font-family="sans-serif" font-size="10">
      """,
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
    ]
    for (index, chart) in charts.enumerated() {
      let x = number(Double(index % columns) * width)
      let y = number(Double(index / columns) * height)
      lines.append("<g transform=\"translate(\(x) \(y))\">")
      lines += draw(chart)
      lines.append("</g>")
    }
    lines += legend(y: size.height - 10)
    return (lines + ["</svg>", ""]).joined(separator: "\n")
  }

  private func draw(_ chart: Chart) -> [String] {
    let largest = chart.series.flatMap(\.values).max() ?? 1
    let limit = roundLimit(largest)
    var lines = [label(width / 2, 16, "middle", chart.title, bold: true)]
    for step in 0...4 {
      let value = limit * Double(step) / 4
      let y = self.y(value, limit)
      lines.append(line(left, y, width - right, y, "#ddd"))
      lines.append(label(left - 4, y + 3, "end", String(format: "%g", value)))
    }
    for (index, text) in chart.labels.enumerated() {
      lines.append(label(x(index, chart.labels.count), height - bottom + 14, "middle", text))
    }
    for series in chart.series {
      let points = series.values.enumerated().map { index, value in
        (x: number(x(index, series.values.count)), y: number(y(value, limit)))
      }
      let path = points.map { "\($0.x),\($0.y)" }.joined(separator: " ")
      lines.append(
        "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(series.color)\" stroke-width=\"2\"/>"
      )
      lines += points.map {
        "<circle cx=\"\($0.x)\" cy=\"\($0.y)\" r=\"2.5\" fill=\"\(series.color)\"/>"
      }
    }
    return lines
  }

  private func legend(y: Double) -> [String] {
    (charts.first?.series ?? []).enumerated().flatMap { index, series in
      let x = left + Double(index) * 100
      return [
        line(x, y - 3, x + 20, y - 3, series.color), label(x + 26, y, "start", series.name),
      ]
    }
  }

  // MARK: Geometry

  private func x(_ index: Int, _ count: Int) -> Double {
    left + 14 + (width - left - right - 28) * Double(index) / Double(max(1, count - 1))
  }

  private func y(_ value: Double, _ limit: Double) -> Double {
    top + (height - top - bottom) * (1 - value / limit)
  }

  /// The next number of the form 1, 2, 4 or 8 times a power of ten.
  private func roundLimit(_ value: Double) -> Double {
    let power = pow(10, floor(log10(max(value, 1e-9))))
    return ([1, 2, 4, 8].first { $0 * power >= value } ?? 10) * power
  }

  private func number(_ value: Double) -> String { String(format: "%.1f", value) }

  private func line(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ color: String
  ) -> String {
    """
    <line x1="\(number(x1))" y1="\(number(y1))" x2="\(number(x2))" y2="\(number(y2))" \
    stroke="\(color)"/>
    """
  }

  private func label(
    _ x: Double, _ y: Double, _ anchor: String, _ text: String, bold: Bool = false
  ) -> String {
    """
    <text x="\(number(x))" y="\(number(y))" text-anchor="\(anchor)"\
    \(bold ? " font-weight=\"bold\"" : "")>\(text)</text>
    """
  }
}
