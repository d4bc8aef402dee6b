# Puts the plugin where hosts look for plugins, or takes it away again. Windows.
#   powershell -ExecutionPolicy Bypass -File install.ps1               for you alone
#   powershell -ExecutionPolicy Bypass -File install.ps1 -System       for every user (as administrator)
#   powershell -ExecutionPolicy Bypass -File install.ps1 -Uninstall    takes it away; with -System, from every user
# Nothing but genrescope.clap and genrescope.vst3 is written, replaced or removed.
param([switch]$System, [switch]$Uninstall)
$ErrorActionPreference = "Stop"
$common = if ($System) { $env:CommonProgramFiles } else { Join-Path $env:LOCALAPPDATA "Programs\Common" }

foreach ($bundle in @(@("CLAP", "genrescope.clap"), @("VST3", "genrescope.vst3"))) {
    $folder = Join-Path $common $bundle[0]
    $place = Join-Path $folder $bundle[1]
    if ($Uninstall) {
        if (Test-Path $place) {
            Remove-Item -Recurse -Force $place
            Write-Output "removed $place"
        } else {
            Write-Output "$place is not there"
        }
        continue
    }
    $source = Join-Path $PSScriptRoot $bundle[1]
    if (-not (Test-Path $source)) {
        throw "$($bundle[1]) is missing beside this script; unpack the whole archive"
    }
    New-Item -ItemType Directory -Force $folder | Out-Null
    if (Test-Path $place) { Remove-Item -Recurse -Force $place }
    Copy-Item -Recurse $source $place
    Write-Output "installed $place"
}
if (-not $Uninstall) { Write-Output "Let your host scan its plugins again; the plugin's name is genrescope." }
