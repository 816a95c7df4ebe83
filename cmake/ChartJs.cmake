# Chart.js (libjs-chart.js), which the report carries in itself: found and embedded when cavmae is built, not needed
# when it runs.
find_file(CAVMAE_CHART_JS NAMES chart.min.js Chart.min.js
          PATHS /usr/share/javascript/chart.js /usr/share/nodejs/chart.js/dist NO_CMAKE_FIND_ROOT_PATH
          DOC "Chart.js 3, minified")
if(NOT CAVMAE_CHART_JS)
  message(FATAL_ERROR "Chart.js was not found: install libjs-chart.js, or set CAVMAE_CHART_JS to chart.min.js")
endif()
